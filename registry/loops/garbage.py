"""The garbage loop: collects regularly. Nothing wakes it: what is deleted is hidden at once; its room can wait."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from kit.clock import Clock
from kit.settings import Settings
from registry.collector import Collector, wish_of
from registry.errors import NotAtHome
from registry.storage import Storage
from state.garbage import CollectionEnd, get_collection
from state.loop import Leases, Loop
from state.store import Session, Store


class GarbageLoop(Loop):
    """Collects once in ``registry_gc_hours``, counted from the end of the last collection, whoever ran it."""

    name: ClassVar[str] = "garbage"
    every = timedelta(minutes=10)

    def __init__(self, store: Store, clock: Clock, leases: Leases, *, storage: Storage, settings: Settings) -> None:
        super().__init__(store, clock, leases)
        self._settings = settings
        self._collector = Collector(store, storage, clock=clock, settings=settings)

    def observe(self, session: Session, now: datetime) -> CollectionEnd | None:
        return get_collection(session)

    def decide(self, seen: CollectionEnd | None, now: datetime) -> bool | None:
        hours = self._settings.registry_gc_hours
        due = seen is None or now - seen.ended_at >= timedelta(hours=hours)
        return True if hours > 0 and due else None

    def act(self, plan: bool) -> None:
        try:
            self._collector.collect(wish_of(self._settings))
        except NotAtHome:
            # Said where it was found; the process that has the registry's storage collects.
            return

    def record(self, session: Session, outcome: Any, now: datetime) -> None:
        """The collector records its own steps, each guarded by itself and not by the lease."""
