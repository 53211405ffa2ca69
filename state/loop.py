"""The shape of every loop: observe, decide, act, record; under a lease, so that one process at a time runs it."""

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import Any, ClassVar

from kit.clock import Clock
from state.leases import Lease, LeaseLost, check_lease, claim_lease, release_leases
from state.store import Session, Store


class Leases:
    """The leases of one process, renewed when half of their length has passed."""

    def __init__(
        self, store: Store, clock: Clock, holder: str, *, length: timedelta = timedelta(seconds=10), seize: bool = False
    ) -> None:
        self._store = store
        self._clock = clock
        self._holder = holder
        self._length = length
        # True only where something else (the data directory's lock) keeps other processes out.
        self._seize = seize
        self._held: dict[str, tuple[Lease, datetime]] = {}

    def hold(self, name: str) -> Lease | None:
        """The lease of ``name``, taken or renewed as needed; None while another process has it."""
        now = self._clock.now()
        held = self._held.get(name)
        if held is not None and held[1] - now > self._length / 2:
            return held[0]
        lease = self._store.transact(
            lambda session: claim_lease(session, name, self._holder, now=now, length=self._length, seize=self._seize)
        )
        if lease is None:
            self._held.pop(name, None)
        else:
            self._held[name] = (lease, now + self._length)
        return lease

    def forget(self, name: str) -> None:
        self._held.pop(name, None)

    def release(self) -> None:
        """Let others take over at once."""
        self._held.clear()
        self._store.transact(lambda session: release_leases(session, self._holder, now=self._clock.now()))


class Loop(ABC):
    """One concern of the scheduler or of the registry. Subclasses name it and fill in the four beats.

    ``observe`` reads in one short transaction; ``decide`` is pure and answers None when there is nothing to do;
    ``act`` talks to the world with no transaction open, may be slow, can be repeated, and answers None when there is
    nothing to record; ``record`` writes in one transaction that the lease guards. ``next_look`` says when to look
    again without being woken.
    """

    name: ClassVar[str]
    every: timedelta = timedelta(seconds=5)

    def __init__(self, store: Store, clock: Clock, leases: Leases) -> None:
        self.store = store
        self.clock = clock
        self.leases = leases

    def step(self) -> datetime | None:
        """Look once. Also the unit in which simulations crash and repeat a scheduler."""
        lease = self.leases.hold(self.name)
        if lease is None:
            return None
        now = self.clock.now()
        seen = self.store.read(lambda session: self.observe(session, now))
        plan = self.decide(seen, now)
        if plan is not None:
            outcome = self.act(plan)
            if outcome is not None:
                self.record_guarded(lease, outcome)
        return self.next_look(seen, now)

    def record_guarded(self, lease: Lease, outcome: Any) -> Any:
        """What ``record`` answers; None when the lease is lost."""

        def write(session: Session) -> Any:
            check_lease(session, lease)
            return self.record(session, outcome, self.clock.now())

        try:
            return self.store.transact(write)
        except LeaseLost:
            self.leases.forget(self.name)
            return None

    @abstractmethod
    def observe(self, session: Session, now: datetime) -> Any: ...

    @abstractmethod
    def decide(self, seen: Any, now: datetime) -> Any | None: ...

    def act(self, plan: Any) -> Any | None:
        return plan

    @abstractmethod
    def record(self, session: Session, outcome: Any, now: datetime) -> Any: ...

    def next_look(self, seen: Any, now: datetime) -> datetime | None:
        return None
