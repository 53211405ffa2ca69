"""Removals give way: what is left of ended tasks is removed when nothing is being launched or stopped.

A removal costs the engine as much as a stop, and nobody waits for it; whoever launches or stops does. But not for long,
since some of those take minutes, and the disk is wanted too.
"""

from datetime import datetime, timedelta

MOST_HELD = timedelta(seconds=5)


class Removals:
    """Belongs to the engine's step."""

    def __init__(self) -> None:
        self._under_way: set[tuple[str, str]] = set()
        self._held: dict[str, datetime] = {}

    def begun(self, task: str, container: str) -> None:
        """Something that goes first has begun to be done to a container."""
        self._under_way.add((task, container))

    def ended(self, task: str, container: str) -> list[str]:
        """It is done. The answer is which tasks' removals may go on."""
        self._under_way.discard((task, container))
        return [] if self._under_way else [*self._held]

    def hold(self, task: str, now: datetime) -> datetime | None:
        """Until when the removal of a task has to wait at most; None when it need not."""
        until = self._held.setdefault(task, now + MOST_HELD)
        if self._under_way and now < until:
            return until
        del self._held[task]
        return None
