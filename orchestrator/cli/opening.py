"""Opening a Berth's store and storage directly: for commands that work whether it is up or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kit.settings import Settings

if TYPE_CHECKING:
    from orchestrator.app import Parts


@contextmanager
def opened(settings: Settings) -> "Iterator[Parts]":
    """The parts of the Berth that the settings name, closed at the end."""
    # Imported here: the other commands should not pay for what only these need.
    from orchestrator.app import build_parts

    parts = build_parts(settings)
    try:
        yield parts
    finally:
        parts.store.close()
