"""Housekeeping: what has had its time is deleted, in bounded bites, so that tables do not grow with the past."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import ClassVar

from sqlalchemy import delete, or_, select

from kit.clock import Clock
from state.access_keys import forget_access_keys, forget_host_keys, forget_unused_keys
from state.base import Event
from state.capacities import Capacity
from state.client_tokens import forget_client_tokens
from state.container_instances import ContainerInstance
from state.exec_sessions import end_exec_sessions, forget_exec_sessions
from state.firings import forget_firings
from state.job_retention import forget_jobs, task_of_no_unfinished_job
from state.log_events import expire_log_events
from state.loop import Leases, Loop
from state.registry_events import forget_registry_events
from state.role_sessions import forget_role_sessions
from state.secrets import forget_secrets
from state.store import Session, Store
from state.task_counts import forget_empty_cells
from state.task_definitions import forget_task_definitions
from state.tasks import Task

BITE = 2000
# Log lines come and go faster than anything else.
LINES_BITE = 20_000
EVENTS_KEPT = timedelta(days=7)
REGISTRY_EVENTS_KEPT = timedelta(days=30)
FIRINGS_KEPT = timedelta(days=7)
JOBS_KEPT = timedelta(days=7)
CAPACITIES_KEPT = timedelta(hours=1)
HOSTS_KEPT = timedelta(days=7)
EXEC_SESSIONS_KEPT = timedelta(days=1)
# Of hosts that joined and then never registered.
UNUSED_KEYS_KEPT = timedelta(hours=1)
# Until the next bite, while there is more: others want to write, too.
PAUSE = timedelta(seconds=1)

# Deletes a bite; whether there may be more.
Forget = Callable[[Session, datetime], bool]


class HousekeepingLoop(Loop):
    """``task_retention`` is how long a stopped task is still described."""

    name: ClassVar[str] = "housekeeping"
    every = timedelta(seconds=60)

    def __init__(self, store: Store, clock: Clock, leases: Leases, *, task_retention: timedelta) -> None:
        super().__init__(store, clock, leases)
        self._task_retention = task_retention
        # Whether some bite of the last look was a full one.
        self._more = False

    def observe(self, session: Session, now: datetime) -> datetime:
        return now

    def decide(self, seen: datetime, now: datetime) -> list[Forget]:
        return [
            _forget_small,
            lambda session, at: expire_log_events(session, at, LINES_BITE) >= LINES_BITE,
            lambda session, at: forget_firings(session, before=at - FIRINGS_KEPT, limit=BITE) >= BITE,
            lambda session, at: forget_jobs(session, before=at - JOBS_KEPT, limit=BITE) >= BITE,
            lambda session, at: forget_secrets(session, now=at, limit=BITE) >= BITE,
            self._forget_tasks,
            _forget_hosts,
            _forget_events,
        ]

    def record(self, session: Session, outcome: list[Forget], now: datetime) -> None:
        full = [forget(session, now) for forget in outcome]
        self._more = any(full)

    def next_look(self, seen: datetime, now: datetime) -> datetime | None:
        return now + PAUSE if self._more else None

    def _forget_tasks(self, session: Session, now: datetime) -> bool:
        old = select(Task.id).where(Task.stopped_at < now - self._task_retention, task_of_no_unfinished_job())
        ids = session.scalars(old.limit(BITE)).all()
        session.execute(delete(Task).where(Task.id.in_(ids)))
        return len(ids) == BITE


def _forget_small(session: Session, now: datetime) -> bool:
    """What is little enough to be deleted whole."""
    forget_client_tokens(session, now=now)
    forget_role_sessions(session, now=now)
    forget_access_keys(session, now=now)
    forget_unused_keys(session, since=now - UNUSED_KEYS_KEPT)
    end_exec_sessions(session, now=now, limit=BITE)
    forget_exec_sessions(session, before=now - EXEC_SESSIONS_KEPT)
    forget_task_definitions(session)
    forget_empty_cells(session)
    forget_registry_events(session, before=now - REGISTRY_EVENTS_KEPT)
    session.execute(delete(Capacity).where(Capacity.terminated_at < now - CAPACITIES_KEPT))
    return False


def _forget_hosts(session: Session, now: datetime) -> bool:
    """Hosts that are out, once what they ran is forgotten too: at once those that were launched for one task."""
    host = ContainerInstance
    used = select(Task.id).where(Task.container_instance_id == host.id).exists()
    old = or_(host.shared.is_(False), host.seen_at < now - HOSTS_KEPT)
    gone = session.scalars(delete(host).where(host.status == "INACTIVE", old, ~used).returning(host.id)).all()
    forget_host_keys(session, gone)
    return False


def _forget_events(session: Session, now: datetime) -> bool:
    # They are appended, so the lowest numbers are the oldest.
    first = select(Event.id).order_by(Event.id).limit(BITE).subquery()
    old = select(Event.id).where(Event.id.in_(select(first.c.id)), Event.at < now - EVENTS_KEPT)
    ids = session.scalars(old).all()
    session.execute(delete(Event).where(Event.id.in_(ids)))
    return len(ids) == BITE
