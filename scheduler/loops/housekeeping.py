"""Housekeeping: what has had its time is deleted, in bounded bites, so that tables do not grow with the past."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import ClassVar

from sqlalchemy import delete, select

from kit.clock import Clock
from scheduler.loops.loop import Leases, Loop
from state.access_keys import forget_access_keys
from state.base import Event
from state.capacities import Capacity
from state.client_tokens import forget_client_tokens
from state.container_instances import ContainerInstance
from state.firings import forget_firings
from state.job_retention import forget_jobs, task_of_no_unfinished_job
from state.log_events import expire_log_events
from state.store import Session, Store
from state.task_counts import forget_empty_cells
from state.task_definitions import forget_task_definitions
from state.tasks import Task

BITE = 2000
# Log lines come and go faster than anything else.
LINES_BITE = 20_000
EVENTS_KEPT = timedelta(days=7)
FIRINGS_KEPT = timedelta(days=7)
JOBS_KEPT = timedelta(days=7)
# An array's submission is up to 10,000 rows.
SUBMISSIONS = 20
CAPACITIES_KEPT = timedelta(hours=1)


class HousekeepingLoop(Loop):
    """``task_retention`` is how long a stopped task is still described."""

    name: ClassVar[str] = "housekeeping"
    every = timedelta(seconds=60)

    def __init__(self, store: Store, clock: Clock, leases: Leases, *, task_retention: timedelta) -> None:
        super().__init__(store, clock, leases)
        self._task_retention = task_retention

    def observe(self, session: Session, now: datetime) -> datetime:
        return now

    def decide(self, seen: datetime, now: datetime) -> list[Callable[[Session, datetime], object]]:
        return [
            lambda session, at: forget_client_tokens(session, now=at),
            lambda session, at: forget_access_keys(session, now=at),
            lambda session, at: expire_log_events(session, at, LINES_BITE),
            lambda session, at: forget_firings(session, before=at - FIRINGS_KEPT, limit=BITE),
            lambda session, at: forget_jobs(session, before=at - JOBS_KEPT, limit=SUBMISSIONS),
            self._forget_tasks,
            lambda session, at: forget_task_definitions(session),
            lambda session, at: forget_empty_cells(session),
            _forget_capacities,
            _forget_hosts,
            _forget_events,
        ]

    def record(self, session: Session, outcome: list[Callable[[Session, datetime], object]], now: datetime) -> None:
        for forget in outcome:
            forget(session, now)

    def _forget_tasks(self, session: Session, now: datetime) -> None:
        old = select(Task.id).where(Task.stopped_at < now - self._task_retention, task_of_no_unfinished_job())
        old = old.limit(BITE)
        session.execute(delete(Task).where(Task.id.in_(session.scalars(old).all())))


def _forget_capacities(session: Session, now: datetime) -> None:
    session.execute(delete(Capacity).where(Capacity.terminated_at < now - CAPACITIES_KEPT))


def _forget_hosts(session: Session, now: datetime) -> None:
    """Hosts that were launched for one task, once that task is forgotten too."""
    used = select(Task.id).where(Task.container_instance_id == ContainerInstance.id).exists()
    session.execute(
        delete(ContainerInstance).where(
            ContainerInstance.status == "INACTIVE",
            ContainerInstance.shared.is_(False),
            ~used,
        )
    )


def _forget_events(session: Session, now: datetime) -> None:
    # They are appended, so the lowest numbers are the oldest.
    first = select(Event.id).order_by(Event.id).limit(BITE).subquery()
    session.execute(delete(Event).where(Event.id.in_(select(first.c.id)), Event.at < now - EVENTS_KEPT))
