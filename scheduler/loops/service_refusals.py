"""Refusals: starts that found no room are not tried again while nothing has changed that could give them some.

What is remembered is only ever a reason to do less: it is lost with the process, void with every change of the
service or of a host of its cluster, and after a minute in any case.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select

from scheduler.loops.service_sight import Key, Sight
from scheduler.rollout import RolloutPlan, ServiceSeen
from state.container_instances import ContainerInstance
from state.store import Session

LONGEST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What was so when the starts of a service were refused."""

    version: int
    seen: ServiceSeen
    hosts: int
    until: datetime


class Refusals:
    """The services whose starts were refused last time, and the hosts of their clusters at the present look."""

    def __init__(self) -> None:
        self._refused: dict[Key, Refusal] = {}
        self._hosts: dict[str, int] = {}

    def look(self, session: Session, now: datetime) -> None:
        """See how the hosts are of the clusters where something was refused."""
        self._refused = {key: refusal for key, refusal in self._refused.items() if now < refusal.until}
        self._hosts = {cluster: _hosts(session, cluster) for cluster in {cluster for cluster, _ in self._refused}}

    def note(self, sight: Sight, refusal: Refusal) -> None:
        """Starts were refused, and what was so then is committed: what is rolled back must not be remembered."""
        self._refused[sight.key] = refusal

    def stands(self, sight: Sight) -> bool:
        """Would starting tasks now be refused as it was?"""
        refusal = self._refused.get(sight.key)
        return (
            refusal is not None
            and refusal.version == sight.version
            and refusal.seen == _lasting(sight.service)
            and refusal.hosts == self._hosts.get(sight.key[0])
        )


def refusal_of(session: Session, sight: Sight, plan: RolloutPlan, *, version: int) -> Refusal:
    """The plan was carried out and some of its starts were refused; the service is in this version since."""
    until = sight.at + LONGEST
    return Refusal(
        version=version,
        seen=_lasting(sight.service),
        hosts=_hosts(session, sight.key[0]),
        # Tasks that settle may make room for others.
        until=until if plan.retry_at is None else min(until, plan.retry_at),
    )


def _lasting(service: ServiceSeen) -> ServiceSeen:
    """The service but for what its refusal itself has changed."""
    return replace(service, last_event=None)


def _hosts(session: Session, cluster: str) -> int:
    """A fingerprint of all that placement reads of the cluster's hosts."""
    marks = (
        select(ContainerInstance.id, ContainerInstance.revision)
        .where(
            ContainerInstance.cluster == cluster,
            ContainerInstance.status.in_(("ACTIVE", "DRAINING")),
            ContainerInstance.shared,
        )
        .order_by(ContainerInstance.id)
    )
    return hash(tuple((row.id, row.revision) for row in session.execute(marks)))
