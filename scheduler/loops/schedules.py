"""Schedules: whatever is due fires once, whoever runs this loop and whenever it was last alive.

First a due instant is taken up: one row, unique by schedule and instant, written together with the schedule's next
instant. Then its target is invoked, in one transaction with the record that it was. Between the two a process may
die at any point: what was taken up is found again, and what was not done is done.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Protocol

from kit.aws.errors import AwsError, InternalFailure, ServiceUnavailable
from kit.clock import Clock
from scheduler.cron import flexible
from scheduler.loops.invocation import (
    GiveUp,
    Invoke,
    Retry,
    after_failure,
    invocation_of,
    letter_attributes,
    oldest_event,
)
from scheduler.loops.timing import due_after, latest_due, timing_of
from state.firings import (
    DeadLetter,
    Firing,
    get_firing,
    has_fired,
    is_settled,
    list_attempts_due,
    next_attempt,
)
from state.leases import Lease
from state.loop import Leases, Loop
from state.schedules import Schedule, list_due_schedules, next_due
from state.store import Session, Store, StoreBusy

log = logging.getLogger(__name__)
BITE = 100


class Alarm(Protocol):
    """Something that wakes the loop at an instant."""

    def set(self, at: datetime | None) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Take up one due instant of a schedule, as its row stood at ``version``."""

    schedule_id: str
    version: int
    due_at: datetime
    next_due_at: datetime | None
    attempt_at: datetime
    # Why it is only recorded and not fired any more.
    missed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Invoke a firing's target."""

    firing_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An attempt failed."""

    firing_id: str
    error: AwsError


class SchedulesLoop(Loop):
    """``invoke`` calls targets; ``alarm``, where there is one, wakes this loop at the next due instant."""

    name: ClassVar[str] = "schedules"
    every = timedelta(seconds=5)

    def __init__(
        self, store: Store, clock: Clock, leases: Leases, *, invoke: Invoke, alarm: Alarm | None = None
    ) -> None:
        super().__init__(store, clock, leases)
        self._invoke = invoke
        self._alarm = alarm

    def step(self) -> datetime | None:
        """Take up what is due, then invoke what is to be invoked: each firing in a transaction of its own."""
        lease = self.leases.hold(self.name)
        if lease is None:
            return None
        now = self.clock.now()
        plan = self.decide(self.store.read(lambda session: self.observe(session, now)), now)
        if plan is not None:
            self.record_guarded(lease, plan)
        for firing_id in self.store.read(lambda session: list_attempts_due(session, now=now, limit=BITE)):
            self._attempt(lease, firing_id)
        due = self.store.read(_next_instant)
        if self._alarm is not None:
            self._alarm.set(due)
        return due

    def observe(self, session: Session, now: datetime) -> Sequence[Schedule]:
        return list_due_schedules(session, now=now, limit=BITE)

    def decide(self, seen: Sequence[Schedule], now: datetime) -> list[Take] | None:
        return [decide_take(schedule, now) for schedule in seen] or None

    def record(self, session: Session, outcome: list[Take] | Attempt | Failure, now: datetime) -> None:
        match outcome:
            case Attempt():
                self._record_attempt(session, outcome.firing_id, now)
            case Failure():
                _record_failure(session, outcome, now)
            case takes:
                for take in takes:
                    _record_take(session, take, now)

    def _attempt(self, lease: Lease, firing_id: str) -> None:
        try:
            self.record_guarded(lease, Attempt(firing_id=firing_id))
            return
        except AwsError as refused:
            error = refused
        except StoreBusy as busy:
            error = ServiceUnavailable(str(busy))
        except Exception:
            log.exception("target failed", extra={"firing": firing_id})
            error = InternalFailure()
        self.record_guarded(lease, Failure(firing_id=firing_id, error=error))

    def _record_attempt(self, session: Session, firing_id: str, now: datetime) -> None:
        firing = get_firing(session, firing_id, hold=True)
        if firing is None or firing.status != "PENDING" or firing.attempt_at > now:
            return
        age = oldest_event(firing.target)
        if now > firing.due_at + age:
            _settle(session, firing, "MISSED" if not firing.attempts else "FAILED", now, _too_old(age), _AGE)
            return
        invocation = invocation_of(firing)
        firing.attempts += 1
        self._invoke(session, invocation)
        _settle(session, firing, "SUCCEEDED", now, "The target was invoked")


_AGE = "MaximumEventAgeInSeconds"


def decide_take(schedule: Schedule, now: datetime) -> Take:
    """What to do about a schedule that is due: of several missed instants only the latest still counts."""
    timing = timing_of(schedule)
    assert schedule.next_due_at is not None, "only a due schedule is taken up"
    due = latest_due(timing, schedule.next_due_at, now)
    age = oldest_event(schedule.target)
    return Take(
        schedule_id=schedule.id,
        version=schedule.version,
        due_at=due,
        next_due_at=due_after(timing, due),
        attempt_at=flexible(due, schedule.flexible_minutes, f"{schedule.id}/{due.isoformat()}"),
        missed=_too_old(age) if now > due + age else None,
    )


def firing_id(schedule_id: str, due_at: datetime) -> str:
    """The execution id: always the same for one due instant of one schedule."""
    return hashlib.sha256(f"{schedule_id}/{due_at.isoformat()}".encode()).hexdigest()[:32]


def _record_take(session: Session, take: Take, now: datetime) -> None:
    schedule = session.get(Schedule, take.schedule_id, with_for_update=True)
    if schedule is None or schedule.version != take.version or schedule.state != "ENABLED":
        # It was changed or deleted since it was looked at: the next look decides anew.
        return
    schedule.next_due_at = take.next_due_at
    if has_fired(session, schedule.id, take.due_at):
        return
    firing = Firing(
        id=firing_id(schedule.id, take.due_at),
        schedule_id=schedule.id,
        schedule_arn=schedule.arn,
        due_at=take.due_at,
        target=dict(schedule.target),
        status="PENDING",
        attempts=0,
        attempt_at=take.attempt_at,
    )
    session.add(firing)
    session.flush()
    if take.missed is not None:
        _settle(session, firing, "MISSED", now, take.missed, _AGE)


def _record_failure(session: Session, failure: Failure, now: datetime) -> None:
    firing = get_firing(session, failure.firing_id, hold=True)
    if firing is None or firing.status != "PENDING":
        return
    firing.attempts += 1
    firing.error_code, firing.error_message = failure.error.code, failure.error.message
    match after_failure(firing, failure.error, now):
        case Retry(at=at):
            firing.attempt_at = at
        case GiveUp(exhausted=exhausted):
            _settle(session, firing, "FAILED", now, f"{failure.error.code}: {failure.error.message}", exhausted)


def _settle(
    session: Session, firing: Firing, status: str, now: datetime, because: str, exhausted: str | None = None
) -> None:
    """Finish a firing; keep a dead letter where one is asked for; finish the schedule where this was its last."""
    firing.advance(status, at=now, because=because)
    firing.finished_at = now
    if status != "SUCCEEDED":
        log.warning("schedule did not fire", extra={"schedule": firing.schedule_arn, "because": because})
        if firing.error_code is None:
            firing.error_code, firing.error_message = "EventTooOld", because
        queue = (firing.target.get("DeadLetterConfig") or {}).get("Arn")
        if queue is not None:
            session.add(
                DeadLetter(
                    firing_id=firing.id,
                    queue_arn=queue,
                    at=now,
                    attributes=letter_attributes(firing, exhausted),
                    body=firing.target.get("Input") or "",
                )
            )
    schedule = session.get(Schedule, firing.schedule_id, with_for_update=True)
    if (
        schedule is not None
        and schedule.after_completion == "DELETE"
        and schedule.state == "ENABLED"
        and schedule.next_due_at is None
        and is_settled(session, schedule.id)
    ):
        session.delete(schedule)


def _next_instant(session: Session) -> datetime | None:
    instants = [at for at in (next_due(session), next_attempt(session)) if at is not None]
    return min(instants, default=None)


def _too_old(age: timedelta) -> str:
    return f"It was due more than {int(age.total_seconds())} seconds ago, longer than its retry policy allows"
