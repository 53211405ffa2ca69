"""Schedules written straight to the store, a loop that fires them, and a target that counts what was kept."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select

from kit.aws.errors import AwsError
from kit.clock import ManualClock
from scheduler.loops.invocation import Invocation, Invoke
from scheduler.loops.schedules import SchedulesLoop
from scheduler.loops.timing import first_due, timing_of
from state.access_keys import AccessKey
from state.firings import DeadLetter, Firing, list_firings
from state.loop import Leases
from state.schedule_groups import keep_default_group
from state.schedules import Schedule
from state.store import Session, Store

START = datetime(2030, 1, 1, tzinfo=UTC)
QUEUE = "arn:aws:sqs:us-east-1:123456789012:letters"


class Crash(BaseException):
    """The process dies here."""


class Target:
    """A target whose effect is one row in the firing's transaction, so that what was rolled back is not counted."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.calls: list[Invocation] = []
        self.trouble: Callable[[Invocation], BaseException | None] = lambda invocation: None

    def __call__(self, session: Session, invocation: Invocation) -> None:
        self.calls.append(invocation)
        number = session.scalar(select(func.count()).select_from(AccessKey))
        session.add(
            AccessKey(
                id=f"{invocation.token}-{number}",
                secret="",
                session_token=None,
                principal_arn=invocation.schedule_arn,
                actions=[],
                expires_at=None,
                created_at=invocation.scheduled_at,
            )
        )
        session.flush()
        trouble = self.trouble(invocation)
        if trouble is not None:
            raise trouble

    def effects(self) -> list[datetime]:
        """The due instants whose effect was kept."""
        rows = self.store.read(lambda session: session.scalars(select(AccessKey)).all())
        return sorted(row.created_at for row in rows)


def loop(store: Store, clock: ManualClock, invoke: Invoke, holder: str = "one") -> SchedulesLoop:
    return SchedulesLoop(store, clock, Leases(store, clock, holder), invoke=invoke)


def add(store: Store, clock: ManualClock, expression: str, *, name: str = "s", **given: Any) -> str:
    """Write a schedule as the API does; answers its id."""
    target = {"Arn": "arn:aws:ecs:us-east-1:123456789012:cluster/c", **given.pop("target", {})}
    window = given.pop("window", 0)

    def work(session: Session) -> str:
        keep_default_group(session, now=clock.now())
        schedule = Schedule(
            id=name * 4,
            group_name="default",
            name=name,
            arn=f"arn:aws:scheduler:us-east-1:123456789012:schedule/default/{name}",
            state="ENABLED",
            expression=expression,
            timezone=given.get("timezone", "UTC"),
            start_at=given.get("start_at"),
            end_at=given.get("end_at"),
            target=target,
            detail={"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": window}} if window else {},
            after_completion=given.get("after_completion", "NONE"),
            origin_at=clock.now(),
            created_at=clock.now(),
            modified_at=clock.now(),
        )
        schedule.next_due_at = first_due(timing_of(schedule))
        session.add(schedule)
        return schedule.id

    return store.transact(work)


def firings(store: Store, schedule_id: str) -> list[Firing]:
    return list(store.read(lambda session: list_firings(session, schedule_id)))


def letters(store: Store) -> list[DeadLetter]:
    return list(store.read(lambda session: session.scalars(select(DeadLetter)).all()))


def refuse(error: AwsError) -> Callable[[Invocation], BaseException | None]:
    return lambda invocation: error
