"""The hosts loop: hosts whose agent nobody has seen for a while count as away, so that nothing is placed there; and
what services and jobs had on a host that is away for too long ends for Berth, so that others run it.

A task that nobody would replace is left alone: it may well run on, and is known again when its host is back.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from sqlalchemy import ColumnElement, exists, func, or_, select, update

from kit.clock import Clock
from scheduler.ending import OVER, end_tasks
from state.base import some
from state.clusters import lock_cluster
from state.container_instances import ContainerInstance, hold_hosts, new_revision
from state.loop import Leases, Loop
from state.store import Session, Store
from state.tasks import Task, hold_tasks

AWAY_AFTER = timedelta(seconds=60)
# For agents that are away with their control plane, or with so many others that the fault will not be theirs. After a
# long time without it the official agent dials every 2.4 minutes.
PATIENCE = timedelta(seconds=150)
MANY = 2
BITE = 1_000
HERE = ("ACTIVE", "DRAINING")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """``unseen`` hosts are taken for connected and are not; ``parted`` ones are away without a time to be lost at;
    ``overdue`` are lost by now, by cluster and with that time; ``away`` are how many hosts of each cluster went away
    of late, beside all that it has. ``next_at`` is when another one will be lost."""

    unseen: Sequence[str]
    parted: Sequence[str]
    overdue: Sequence[tuple[str, str, datetime]]
    away: Counter[str]
    everywhere: Counter[str]
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be written: hosts that are away, hosts that will be lost, and by cluster those that are."""

    away: Sequence[str]
    waiting: Sequence[str]
    lost: dict[str, list[str]]


class HostsLoop(Loop):
    """Marks lost agents away; a living process refreshes its agents' ``seen_at`` well before."""

    name: ClassVar[str] = "hosts"
    every = timedelta(seconds=15)

    def __init__(self, store: Store, clock: Clock, leases: Leases, *, lose_hosts: bool = True) -> None:
        """Without ``lose_hosts``, what runs on a host that is away is left alone for ever."""
        super().__init__(store, clock, leases)
        self._lose_hosts = lose_hosts
        self._began: datetime | None = None
        # When many hosts of a cluster were last seen to be away at once. It is known no more when others are back.
        self._storms: dict[str, datetime] = {}

    def observe(self, session: Session, now: datetime) -> Sight:
        self._began = self._began or now
        host = ContainerInstance
        unseen = session.scalars(select(host.id).where(host.agent_connected, _unseen(now))).all()
        if not self._lose_hosts:
            return Sight(unseen=unseen, parted=(), overdue=(), away=Counter(), everywhere=Counter(), next_at=None)
        away = (host.status.in_(HERE), host.agent_connected.is_(False))
        overdue = session.execute(
            select(host.id, host.cluster, host.lost_at).where(*away, host.lost_at <= now, _has_tasks())
        )
        missing = _count(session, *away, _of_late(now))
        connected = _count(session, host.status.in_(HERE), host.agent_connected.is_(True), host.cluster.in_(missing))
        return Sight(
            unseen=unseen,
            parted=session.scalars(select(host.id).where(*away, host.lost_at.is_(None), _has_tasks())).all(),
            overdue=[(host_id, cluster, lost_at) for host_id, cluster, lost_at in overdue if lost_at is not None],
            away=missing,
            everywhere=missing + connected,
            next_at=session.scalar(select(func.min(host.lost_at)).where(*away, host.lost_at > now)),
        )

    def decide(self, seen: Sight, now: datetime) -> Plan | None:
        self._storms = {cluster: at for cluster, at in self._storms.items() if at > now - 3 * PATIENCE}
        self._storms |= {cluster: now for cluster in seen.away if _is_storm(seen, cluster)}
        lost: dict[str, list[str]] = {}
        for host_id, cluster, lost_at in seen.overdue:
            if now >= self._due(cluster, lost_at):
                lost.setdefault(cluster, []).append(host_id)
        plan = Plan(away=seen.unseen, waiting=seen.parted, lost=lost)
        return plan if plan.away or plan.waiting or plan.lost else None

    def _due(self, cluster: str, lost_at: datetime) -> datetime:
        """When what the host had is replaced: later for hosts that were away before this process looked, and for those
        that went with many."""
        assert self._began
        due = max(lost_at, self._began + PATIENCE) if lost_at < self._began else lost_at
        storm = self._storms.get(cluster)
        # Of those that went after the storm some are waited for as well; none that went in it is not.
        return max(due, lost_at + PATIENCE) if storm is not None and lost_at <= storm + PATIENCE else due

    def record(self, session: Session, outcome: Plan, now: datetime) -> None:
        # Everything is held in the order of all writers before the first of it is written.
        for cluster in sorted(outcome.lost):
            lock_cluster(session, cluster)
        tasks = _replaceable_on(session, [host for hosts in outcome.lost.values() for host in hosts], now)
        hold_tasks(session, [task.id for task in tasks])
        homes = {task.container_instance_id for task in tasks if task.container_instance_id}
        hold_hosts(session, {*outcome.away, *outcome.waiting, *homes})
        # An agent may have come back until its host was held.
        still = set(_still_lost(session, homes, now))
        for few in some(outcome.away):
            session.execute(
                update(ContainerInstance)
                .where(ContainerInstance.id.in_(few), _unseen(now))
                .values(agent_connected=False, connection_id=None, revision=new_revision())
            )
        for few in some(outcome.waiting):
            session.execute(
                update(ContainerInstance)
                .where(
                    ContainerInstance.id.in_(few),
                    ContainerInstance.agent_connected.is_(False),
                    ContainerInstance.lost_at.is_(None),
                )
                .values(lost_at=now + PATIENCE)
            )
        if outcome.away:
            session.wake("services")
        _replace(session, [task for task in tasks if task.container_instance_id in still], now)

    def next_look(self, seen: Sight, now: datetime) -> datetime | None:
        return now + timedelta(seconds=1) if seen.overdue else seen.next_at


def _replaceable_on(session: Session, hosts: Collection[str], now: datetime) -> Sequence[Task]:
    """A bite of what services and jobs have on the hosts, but for those whose agents are back."""
    if not hosts:
        return ()
    return session.scalars(
        select(Task)
        .join(ContainerInstance, ContainerInstance.id == Task.container_instance_id)
        .where(ContainerInstance.id.in_(hosts), *_lost(now), _replaceable())
        .order_by(Task.id)
        .limit(BITE)
    ).all()


def _still_lost(session: Session, hosts: Collection[str], now: datetime) -> Sequence[str]:
    if not hosts:
        return ()
    return session.scalars(select(ContainerInstance.id).where(ContainerInstance.id.in_(hosts), *_lost(now))).all()


def _lost(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return ContainerInstance.agent_connected.is_(False), ContainerInstance.lost_at <= now


def _replace(session: Session, tasks: Sequence[Task], now: datetime) -> None:
    for task in tasks:
        # In the words by which Batch's retry strategies know it.
        because = f"Host EC2 (instance {task.container_instance_id}) terminated."
        task.ask_to_stop(at=now, code="TerminationNotice", because=because)
    end_tasks(session, tasks, now=now, because="its host is lost")


def _is_storm(seen: Sight, cluster: str) -> bool:
    """Whether so many hosts are away at once that the fault will not be theirs. That all are is reason enough: nothing
    could be started elsewhere, and what runs there may well run on."""
    away, everywhere = seen.away[cluster], seen.everywhere[cluster]
    return away == everywhere or (away > MANY and 2 * away > everywhere)


def _of_late(now: datetime) -> ColumnElement[bool]:
    """Away, and not for so long that nobody expects the host any more."""
    host = ContainerInstance
    parted = host.lost_at.is_(None) & (host.seen_at > now - AWAY_AFTER - 2 * PATIENCE)
    return (host.lost_at > now - 2 * PATIENCE) | parted


def _unseen(now: datetime) -> ColumnElement[bool]:
    return or_(ContainerInstance.seen_at.is_(None), ContainerInstance.seen_at < now - AWAY_AFTER)


def _replaceable() -> ColumnElement[bool]:
    """Of a task: somebody starts another one in its place."""
    return or_(Task.service_name.is_not(None), Task.job_id.is_not(None)) & Task.last_status.not_in(OVER)


def _has_tasks() -> ColumnElement[bool]:
    return exists().where(Task.container_instance_id == ContainerInstance.id, _replaceable())


def _count(session: Session, *which: ColumnElement[bool]) -> Counter[str]:
    """How many such hosts each cluster has."""
    cluster = ContainerInstance.cluster
    return Counter(dict(session.execute(select(cluster, func.count()).where(*which).group_by(cluster)).all()))
