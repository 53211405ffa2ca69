"""Views: what only the engine knows of containers, remembered for a few seconds for all who ask."""

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

from agent.runtime import Details, Runtime, RuntimeTrouble
from agent.tasks.model import Container
from kit.clock import Clock

FRESH = timedelta(seconds=5)
MOST_KEPT = 512


class Views:
    """Safe on any thread."""

    def __init__(self, *, runtime: Runtime, clock: Clock) -> None:
        self._runtime = runtime
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[datetime, Details]] = {}

    def of(self, containers: Iterable[Container]) -> dict[str, Details]:
        """Details by the engine's id; while the engine is away those of before, and otherwise none."""
        return {
            container.runtime_id: details
            for container in containers
            if container.runtime_id and (details := self._look(container.runtime_id)) is not None
        }

    def _look(self, runtime_id: str) -> Details | None:
        now = self._clock.now()
        with self._lock:
            at, known = self._kept.get(runtime_id, (None, None))
        if at is not None and now < at + FRESH:
            return known
        try:
            details = self._runtime.details(runtime_id)
        except RuntimeTrouble:
            return known
        with self._lock:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[runtime_id] = (now, details)
        return details
