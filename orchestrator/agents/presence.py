"""Presence: which agents are connected to this process, kept in the store for placement to see.

``arrived`` and ``left`` bracket a connection. A process that dies takes its agents' ``seen_at`` with it: the hosts
loop marks hosts nobody has seen for a while as away.
"""

import threading

from sqlalchemy import case, update

from kit.clock import Clock
from state.container_instances import ContainerInstance, new_revision
from state.store import Session, Store


class Presence:
    """The connections of one API process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._here: dict[str, str] = {}

    def arrived(self, instance_id: str, connection_id: str) -> None:
        """An agent's socket is open: placement may use its host."""
        with self._lock:
            self._here[connection_id] = instance_id
        now = self._clock.now()

        def write(session: Session) -> None:
            session.execute(
                update(ContainerInstance)
                .where(ContainerInstance.id == instance_id)
                .values(agent_connected=True, connection_id=connection_id, seen_at=now, revision=new_revision())
            )
            session.wake("services", "jobs")

        self._store.transact(write)

    def left(self, instance_id: str, connection_id: str) -> None:
        """The socket is closed; the host is away unless its agent has another one already."""
        with self._lock:
            self._here.pop(connection_id, None)

        def write(session: Session) -> None:
            session.execute(
                update(ContainerInstance)
                .where(ContainerInstance.id == instance_id, ContainerInstance.connection_id == connection_id)
                .values(agent_connected=False, connection_id=None, revision=new_revision())
            )
            session.wake("services")

        self._store.transact(write)

    def refresh(self) -> None:
        """Say that the connected agents are still here: one write for all of them."""
        with self._lock:
            connections = tuple(self._here)
        if not connections:
            return
        now = self._clock.now()
        # Of a host that was not taken for away, placement learns nothing new.
        revision = case((ContainerInstance.agent_connected, ContainerInstance.revision), else_=new_revision())
        self._store.transact(
            lambda session: session.execute(
                update(ContainerInstance)
                .where(ContainerInstance.connection_id.in_(connections))
                .values(seen_at=now, agent_connected=True, revision=revision)
            )
        )
