"""Presence: which agents are connected to this process, kept in the store for placement to see.

``arrived`` and ``left`` bracket a connection. A process that dies takes its agents' ``seen_at`` with it: the hosts
loop marks hosts nobody has seen for a while as away.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from math import ceil
from typing import NamedTuple

from sqlalchemy import bindparam, case, update

from kit.clock import Clock
from state.container_instances import ContainerInstance, hold_hosts, new_revision
from state.store import Session, Store

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

    def arrived(self, instance_id: str, connection_id: str) -> None:
        """An agent's socket is open: placement may use its host."""
        self.arrived_together({connection_id: instance_id})

    def arrived_together(self, connections: Mapping[str, str]) -> None:
        """The sockets of many agents are open; the hosts by connection."""
        self.note([Step(instance, connection, True) for connection, instance in connections.items()])

    def left(self, instance_id: str, connection_id: str, *, lost_after: timedelta | None = None) -> None:
        """The socket is closed; the host is away unless its agent has another one already.

        After ``lost_after`` without it the host counts as lost.
        """
        self.note([Step(instance_id, connection_id, False, lost_after)])

    def note(self, steps: Sequence["Step"]) -> None:
        """Connections have opened and closed, many at a time when a control plane comes back and all agents dial."""
        here = {step.connection_id: step.instance_id for step in steps if step.here}
        gone = {step.connection_id for step in steps if not step.here}
        with self._lock:
            for connection in gone:
                self._here.pop(connection, None)
        self._store.transact(partial(self._write, steps))
        # Not before it is written: a connection that the store does not know is hung up on.
        with self._lock:
            self._here |= {connection: host for connection, host in here.items() if connection not in gone}

    def _write(self, steps: Sequence["Step"], session: Session) -> None:
        now = self._clock.now()
        hold_hosts(session, {step.instance_id for step in steps})
        arrived = [
            {"host": step.instance_id, "connection": step.connection_id, "at": now, "mark": new_revision()}
            for step in steps
            if step.here
        ]
        left = [
            {
                "host": step.instance_id,
                "connection": step.connection_id,
                "lost": None if step.lost_after is None else now + step.lost_after,
                "mark": new_revision(),
            }
            for step in steps
            if not step.here
        ]
        # Who left is away only if it did not come again, so it does not matter which of both was first.
        if arrived:
            session.connection().execute(_ARRIVAL, arrived)
            session.wake("services", "jobs")
        if left:
            session.connection().execute(_DEPARTURE, left)
            session.wake("services", "hosts")

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


class Step(NamedTuple):
    """One connection that opened or closed."""

    instance_id: str
    connection_id: str
    here: bool
    lost_after: timedelta | None = None


_ARRIVAL = (
    update(ContainerInstance)
    .where(ContainerInstance.id == bindparam("host"))
    .values(
        agent_connected=True,
        connection_id=bindparam("connection"),
        seen_at=bindparam("at"),
        lost_at=None,
        revision=bindparam("mark"),
    )
)
_DEPARTURE = (
    update(ContainerInstance)
    .where(ContainerInstance.id == bindparam("host"), ContainerInstance.connection_id == bindparam("connection"))
    .values(agent_connected=False, connection_id=None, lost_at=bindparam("lost"), revision=bindparam("mark"))
)
