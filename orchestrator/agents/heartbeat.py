"""The heartbeat: an API process says now and then that its agents are still connected."""

from datetime import timedelta
from typing import ClassVar

from orchestrator.agents.presence import Presence


class Heartbeat:
    """A reconciler of one step."""

    name: ClassVar[str] = "heartbeat"
    every = timedelta(seconds=20)

    def __init__(self, presence: Presence) -> None:
        self._presence = presence

    def step(self) -> None:
        self._presence.refresh()
