"""The garbage loop: collects regularly, and soon carries on where a collector was killed.

Nothing wakes it: what is deleted is hidden at once; its room can wait. But pushes of what was being removed wait, too.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from kit.clock import Clock
from kit.settings import Settings
from registry.collected import wish_of
from registry.collector import Collector
from registry.errors import NotAtHome
from registry.storage import Storage
from state.garbage import get_collection, list_condemners
from state.loop import Leases, Loop
from state.store import Session, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """When the last collection ended, and whether one has left something that it began."""

    ended_at: datetime | None
    begun: bool


class Plan(StrEnum):
    COLLECT = "collect"
    TAKE_OVER = "take over"


class GarbageLoop(Loop):
    """Collects once in ``registry_gc_hours``, counted from the end of the last collection, whoever ran it."""

    name: ClassVar[str] = "garbage"
    every = timedelta(seconds=15)
    pause = timedelta(minutes=10)

    def __init__(self, store: Store, clock: Clock, leases: Leases, *, storage: Storage, settings: Settings) -> None:
        super().__init__(store, clock, leases)
        self._settings = settings
        self._collector = Collector(store, storage, clock=clock, settings=settings)
        self._not_before: datetime | None = None

    def observe(self, session: Session, now: datetime) -> Seen:
        last = get_collection(session)
        return Seen(ended_at=last.ended_at if last is not None else None, begun=bool(list_condemners(session)))

    def decide(self, seen: Seen, now: datetime) -> Plan | None:
        if self._not_before is not None and now < self._not_before:
            return None
        hours = self._settings.registry_gc_hours
        if hours > 0 and (seen.ended_at is None or now - seen.ended_at >= timedelta(hours=hours)):
            return Plan.COLLECT
        return Plan.TAKE_OVER if seen.begun else None

    def act(self, plan: Plan) -> None:
        try:
            match plan:
                case Plan.COLLECT:
                    self._collector.collect(wish_of(self._settings))
                case Plan.TAKE_OVER:
                    self._collector.take_over()
        except NotAtHome:
            # Said where it was found; the process that has the registry's storage collects.
            self._not_before = self.clock.now() + self.pause

    def record(self, session: Session, outcome: Any, now: datetime) -> None:
        """The collector records its own steps, each guarded by itself and not by the lease."""
