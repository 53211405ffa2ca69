"""Presence: which agents are connected to this process, kept in the store for placement to see.

``arrived`` and ``left`` bracket a connection. A process that dies takes its agents' ``seen_at`` with it: the hosts
loop marks hosts nobody has seen for a while as away.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from math import ceil
from typing import NamedTuple

from sqlalchemy import Update, case, update

from kit.clock import Clock
from orchestrator.agents.gathering import Gathering
from state.container_instances import ContainerInstance, hold_hosts, new_revision
from state.store import Session, Store

MOST_TOGETHER = 1_000
# Each connection is refreshed so often; a share of them at a time, so that no writer waits for the rows of all hosts,
# and the looks that follow do not all come at once.
REFRESHED_EVERY = timedelta(seconds=20)
SHARE = 50
LARGEST_SHARE = 5_000


class Presence:
    """The connections of one API process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._here: dict[str, str] = {}
        self._refreshed_at = clock.now()
        self._gathering: Gathering[_Step, None] = Gathering(self._write, most=MOST_TOGETHER)

    def arrived(self, instance_id: str, connection_id: str) -> None:
        """An agent's socket is open: placement may use its host."""
        self.arrived_together({connection_id: instance_id})

    def arrived_together(self, connections: Mapping[str, str]) -> None:
        """The sockets of many agents are open; the hosts by connection."""
        self._gathering.submit([_Step(instance, connection, True) for connection, instance in connections.items()])
        # Not before it is written: a connection that the store does not know is hung up on.
        with self._lock:
            self._here |= connections

    def left(self, instance_id: str, connection_id: str, *, lost_after: timedelta | None = None) -> None:
        """The socket is closed; the host is away unless its agent has another one already.

        After ``lost_after`` without it the host counts as lost.
        """
        with self._lock:
            self._here.pop(connection_id, None)
        lost_at = None if lost_after is None else self._clock.now() + lost_after
        self._gathering.submit([_Step(instance_id, connection_id, False, lost_at)])

    def _write(self, take: Callable[[], Sequence["_Step"]]) -> Sequence[None]:
        """When a control plane comes back, all its agents dial at once: one transaction for those that wait."""

        def write(session: Session) -> Sequence[None]:
            steps = take()
            now = self._clock.now()
            # Every writer in the order of hosts; what happened to one host stays in its own order.
            for step in sorted(steps, key=lambda step: step.instance_id):
                session.connection().execute(_arrival(step, now) if step.here else _departure(step))
            here = {step.here for step in steps}
            session.wake("services", *(("jobs",) if True in here else ()), *(("hosts",) if False in here else ()))
            return [None] * len(steps)

        return self._store.transact(write)

    def refresh(self) -> Mapping[str, int | None]:
        """Say of a share of the connections that they are still here, those first of whom it was said longest ago.

        The share grows with the time since the last one: where writers queue, turns come late, and every connection
        must have had its own long before its host counts as away. Answers the marks of their hosts; None for one that
        is gone, has been counted as away, or whose agent has dialled another process since.
        """
        now = self._clock.now()
        with self._lock:
            late = ceil(len(self._here) * ((now - self._refreshed_at) / REFRESHED_EVERY))
            here = dict(islice(self._here.items(), min(max(late, SHARE), LARGEST_SHARE)))
        if not here:
            return {}
        # Of a host that was not taken for away, placement learns nothing new.
        revision = case((ContainerInstance.agent_connected, ContainerInstance.revision), else_=new_revision())
        refreshing = (
            update(ContainerInstance)
            .where(ContainerInstance.id.in_([*here.values()]), ContainerInstance.connection_id.in_([*here]))
            .values(seen_at=now, agent_connected=True, lost_at=None, revision=revision)
            .returning(ContainerInstance.id, ContainerInstance.revision)
        )

        def write(session: Session) -> Mapping[str, int]:
            hold_hosts(session, here.values())
            return {row.id: row.revision for row in session.connection().execute(refreshing)}

        marks = self._store.transact(write)
        with self._lock:
            self._refreshed_at = now
            for connection in here.keys() & self._here.keys():
                self._here[connection] = self._here.pop(connection)
            unknown = set(here.values()) - marks.keys()
            # An agent that has dialled this process again is here by its other connection.
            others = self._here.items() - here.items() if unknown else ()
            again = unknown & {host for _, host in others}
        return {host: marks.get(host) for host in here.values() if host not in again}

    def refresh_at(self) -> datetime:
        """When the next share is due, once one is refreshed now."""
        with self._lock:
            shares = max(len(self._here) / SHARE, 1)
        return self._clock.now() + REFRESHED_EVERY / shares


class _Step(NamedTuple):
    """One connection that opened or closed."""

    instance_id: str
    connection_id: str
    here: bool
    lost_at: datetime | None = None


def _arrival(step: _Step, now: datetime) -> Update:
    return (
        update(ContainerInstance)
        .where(ContainerInstance.id == step.instance_id)
        .values(
            agent_connected=True,
            connection_id=step.connection_id,
            seen_at=now,
            lost_at=None,
            revision=new_revision(),
        )
    )


def _departure(step: _Step) -> Update:
    return (
        update(ContainerInstance)
        .where(ContainerInstance.id == step.instance_id, ContainerInstance.connection_id == step.connection_id)
        .values(agent_connected=False, connection_id=None, lost_at=step.lost_at, revision=new_revision())
    )
