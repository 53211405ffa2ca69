"""The heartbeat: an API process says now and then that its agents are still connected, and looks whether one of them
was not told something, since wakes may be lost: one statement does both for a share of them.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar

from orchestrator.agents.presence import REFRESHED_EVERY, Presence


class Heartbeat:
    """A reconciler of one step. ``compare`` is given the marks of the hosts, and wakes the connections behind them."""

    name: ClassVar[str] = "heartbeat"
    every = REFRESHED_EVERY

    def __init__(self, presence: Presence, compare: Callable[[Mapping[str, int | None]], None]) -> None:
        self._presence = presence
        self._compare = compare

    def step(self) -> datetime:
        due = self._presence.refresh_at()
        self._compare(self._presence.refresh())
        return due
