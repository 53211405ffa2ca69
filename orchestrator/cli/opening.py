"""Opening a Berth's store and storage directly: for commands that work whether it is up or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kit.settings import Settings
from orchestrator.cli.output import CommandFailed

if TYPE_CHECKING:
    from orchestrator.app import Parts


@contextmanager
def opened(settings: Settings) -> "Iterator[Parts]":
    """The parts of the Berth that the settings name, closed at the end.

    Raises CommandFailed where there is none, and for storage trouble.
    """
    if not has_store(settings):
        raise CommandFailed(
            f"no Berth has its store in {settings.data}; name its data directory with --data, or its store with "
            "BERTH_STORE_URL"
        )
    # Imported here: the other commands should not pay for what only these need.
    from orchestrator.app import build_parts
    from registry.storage import StorageError

    parts = build_parts(settings)
    try:
        yield parts
    except StorageError as error:
        raise CommandFailed(f"the storage does not answer as it should: {error}") from error
    finally:
        parts.store.close()


def has_store(settings: Settings) -> bool:
    """Whether there is a store where the settings say: opening it would make one."""
    file = settings.store.removeprefix("sqlite:///")
    return file == settings.store or Path(file).exists()
