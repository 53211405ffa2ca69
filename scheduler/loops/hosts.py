"""The hosts loop: hosts whose agent nobody has seen for a while count as away, so that nothing is placed there."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from sqlalchemy import or_, select, update

from state.base import some
from state.container_instances import ContainerInstance, hold_hosts, new_revision
from state.loop import Loop
from state.store import Session

AWAY_AFTER = timedelta(seconds=60)


class HostsLoop(Loop):
    """Marks lost agents away; a living process refreshes its agents' ``seen_at`` well before."""

    name: ClassVar[str] = "hosts"
    every = timedelta(seconds=15)

    def observe(self, session: Session, now: datetime) -> Sequence[str]:
        return session.scalars(
            select(ContainerInstance.id).where(
                ContainerInstance.agent_connected,
                or_(ContainerInstance.seen_at.is_(None), ContainerInstance.seen_at < now - AWAY_AFTER),
            )
        ).all()

    def decide(self, seen: Sequence[str], now: datetime) -> Sequence[str] | None:
        return seen or None

    def record(self, session: Session, outcome: Sequence[str], now: datetime) -> None:
        hold_hosts(session, outcome)
        for few in some(outcome):
            session.execute(
                update(ContainerInstance)
                .where(
                    ContainerInstance.id.in_(few),
                    or_(ContainerInstance.seen_at.is_(None), ContainerInstance.seen_at < now - AWAY_AFTER),
                )
                .values(agent_connected=False, connection_id=None, revision=new_revision())
            )
        session.wake("services")
