"""Hosts for DAEMON services: one task on every host that has what the task needs and that its constraints name.

A host, and whether it takes a daemon, is remembered until its mark changes: a look at a cluster that stands still costs
one narrow query.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import select

from scheduler.hosts_as_named import COLUMNS, host_as_named
from scheduler.placement import Constraint, Host, eligible
from state.base import some
from state.container_instances import ContainerInstance
from state.store import Session
from state.task_counts import groups_by_host


@dataclass(frozen=True, slots=True)
class Daemon:
    """What decides where a daemon runs, its group apart from what is on the hosts."""

    group: str
    attributes: tuple[tuple[str, str | None], ...] = ()
    constraints: tuple[Constraint, ...] = ()


class DaemonHosts:
    """What one process remembers of the hosts of clusters that have daemons."""

    def __init__(self) -> None:
        self._hosts: dict[str, dict[str, tuple[int, Host]]] = {}
        # For each daemon the host it was asked for, whether it ran there, and the answer.
        self._answers: dict[tuple[str, Daemon], dict[str, tuple[Host, bool, bool]]] = {}

    def look(self, session: Session, clusters: Collection[str]) -> None:
        """See the hosts of these clusters as they are, and forget all others."""
        self._hosts = {cluster: self._see(session, cluster) for cluster in clusters}

    def takers(
        self, asked: Mapping[tuple[str, Daemon], Collection[str | None]]
    ) -> Mapping[tuple[str, Daemon], tuple[str, ...]]:
        """The hosts that should have each daemon of a cluster, by id; ``asked`` with those that have it already."""
        self._answers = {key: self._ask(key, present) for key, present in asked.items()}
        return {
            key: tuple(sorted(host for host, (*_, takes) in answers.items() if takes))
            for key, answers in self._answers.items()
        }

    def _see(self, session: Session, cluster: str) -> dict[str, tuple[int, Host]]:
        before = self._hosts.get(cluster, {})
        here = select(ContainerInstance.id, ContainerInstance.revision).where(
            ContainerInstance.cluster == cluster,
            ContainerInstance.status == "ACTIVE",
            ContainerInstance.capacity_id.is_(None),
        )
        marks = {row.id: row.revision for row in session.execute(here)}
        seen = {host: before[host] for host, mark in marks.items() if host in before and before[host][0] == mark}
        for few in some(sorted(marks.keys() - seen.keys())):
            groups = groups_by_host(session, cluster, few)
            for row in session.execute(select(*COLUMNS).where(ContainerInstance.id.in_(few))):
                own = groups.get(row.id, {})
                seen[row.id] = marks[row.id], host_as_named(row, tasks=sum(own.values()), groups=own)
        return seen

    def _ask(self, key: tuple[str, Daemon], present: Collection[str | None]) -> dict[str, tuple[Host, bool, bool]]:
        cluster, daemon = key
        before = self._answers.get(key, {})
        answers = {}
        for host_id, (_, host) in self._hosts[cluster].items():
            has = host_id in present
            known = before.get(host_id)
            if known is not None and known[0] is host and known[1] == has:
                answers[host_id] = known
            else:
                answers[host_id] = host, has, takes_daemon(host, daemon, present=has)
        return answers


def takes_daemon(host: Host, daemon: Daemon, *, present: bool) -> bool:
    """Whether the host should run the daemon; ``present`` says that it does already.

    The daemon itself does not count among the tasks of the host, or it would turn its own constraint.
    """
    if not (host.connected or present):
        return False
    own = host.attributes
    if not all(name in own and (value is None or own[name] == value) for name, value in daemon.attributes):
        return False
    others = {name: tasks for name, tasks in host.groups.items() if name != daemon.group}
    return eligible(replace(host, groups=others, tasks=sum(others.values())), daemon.constraints)
