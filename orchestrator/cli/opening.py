"""Opening a Berth's store and storage directly: for commands that work whether it is up or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kit.settings import Settings
from orchestrator.cli.output import CommandFailed

if TYPE_CHECKING:
    from orchestrator.app import Parts


@contextmanager
def opened(settings: Settings) -> "Iterator[Parts]":
    """The parts of the Berth that the settings name, closed at the end. Raises CommandFailed for storage trouble."""
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
