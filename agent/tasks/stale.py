"""Stale copies: what still runs here although the control plane has given it up, as after a time without a network.

They hold ports, memory and perhaps a lock that what runs in their place wants, so nothing new is launched before they
have ended; but not for longer than a while, since one that does not end must not idle the whole host.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

MOST_HELD = timedelta(seconds=45)


class StaleCopies:
    """Belongs to the engine's step. What answers tasks answers those that were held and may now go on."""

    def __init__(self) -> None:
        self._left: set[str] = set()
        self._held: dict[str, None] = {}
        self._until: datetime | None = None

    def found(self, tasks: Iterable[str], now: datetime) -> list[str]:
        """The control plane's newest list lacks these: it is asked whether they are to stop."""
        self._left = set(tasks)
        self._until = now + MOST_HELD
        return self._free()

    def told_to_stop(self, tasks: Iterable[str]) -> list[str]:
        """The control plane's answer: the others may stay, and nothing has to wait for them."""
        self._left &= set(tasks)
        return self._free()

    def ended(self, task: str) -> list[str]:
        self._left.discard(task)
        return self._free()

    def hold(self, task: str, now: datetime) -> datetime | None:
        """Until when the task has to wait at most; None when it need not."""
        if not self._left or self._until is None or now >= self._until or task in self._left:
            return None
        self._held[task] = None
        return self._until

    def _free(self) -> list[str]:
        if self._left:
            return []
        held, self._held = [*self._held], {}
        return held
