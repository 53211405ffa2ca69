"""Hosts for DAEMON services: one task on every host that has what the task needs and that its constraints name."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import select

from scheduler.hosts_as_named import COLUMNS, host_as_named
from scheduler.placement import Constraint, Host, eligible
from state.container_instances import ContainerInstance
from state.store import Session
from state.task_counts import groups_by_host


def list_daemon_hosts(session: Session, clusters: Collection[str]) -> Mapping[str, Sequence[Host]]:
    """The hosts on which daemons may run, by cluster, with the facts that constraints speak of."""
    rows = session.execute(
        select(*COLUMNS).where(
            ContainerInstance.cluster.in_(clusters),
            ContainerInstance.status == "ACTIVE",
            ContainerInstance.capacity_id.is_(None),
        )
    ).all()
    groups = {cluster: groups_by_host(session, cluster) for cluster in {row.cluster for row in rows}}
    hosts: dict[str, list[Host]] = defaultdict(list)
    for row in rows:
        own = groups[row.cluster].get(row.id, {})
        hosts[row.cluster].append(host_as_named(row, tasks=sum(own.values()), groups=own))
    return hosts


def takes_daemon(
    host: Host,
    group: str,
    *,
    present: bool,
    attributes: Sequence[tuple[str, str | None]],
    constraints: Sequence[Constraint],
) -> bool:
    """Whether the host should run the daemon of this task group; ``present`` says that it does already.

    The daemon itself does not count among the tasks of the host, or it would turn its own constraint.
    """
    if not (host.connected or present):
        return False
    own = host.attributes
    if not all(name in own and (value is None or own[name] == value) for name, value in attributes):
        return False
    others = {name: tasks for name, tasks in host.groups.items() if name != group}
    return eligible(replace(host, groups=others, tasks=sum(others.values())), constraints)
