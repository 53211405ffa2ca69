"""Fleets: what placement knows of each cluster's hosts, kept in memory and refreshed from what has changed.

A host is read again when its mark (``container_instances.revision``) is not the one that was remembered, so a look
costs one narrow query over the hosts and the reading of the changed ones, however many tasks run. Nothing here is
ever the truth: a view may hold what was rolled back since, or what another process has changed, for marks tell, and
whoever writes is guarded by the store itself.
"""

import json
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, select

from scheduler.image_notes import ImageNotes
from scheduler.placement import Ask, Fleet, GroupPlan, Host, Plan, Port, place, place_group
from state.addresses import addresses_left
from state.base import some
from state.container_instances import ContainerInstance, HostPort
from state.devices import free_gpus, free_resources, registered_gpus, registered_resources
from state.store import Session
from state.task_counts import groups_by_host

NETWORK = "berth.awsvpc-cidr"
# Clusters whose hosts are remembered at a time.
MOST_CLUSTERS = 64
# So many free addresses are as good as any number: no plan puts more tasks on one host.
PLENTY = 1024

_TABLE = ContainerInstance.metadata.tables[ContainerInstance.__tablename__].c
_SEEN = (
    _TABLE.cluster == bindparam("cluster"),
    _TABLE.status.in_(("ACTIVE", "DRAINING")),
    _TABLE.shared,
)
_HOSTS = select(
    ContainerInstance.id,
    ContainerInstance.revision,
    ContainerInstance.status,
    ContainerInstance.agent_connected,
    ContainerInstance.ec2_instance_id,
    ContainerInstance.registered_cpu,
    ContainerInstance.registered_memory,
    ContainerInstance.free_cpu,
    ContainerInstance.free_memory,
    ContainerInstance.resources,
    ContainerInstance.attributes,
    ContainerInstance.version_info,
    ContainerInstance.registered_at,
).where(ContainerInstance.id.in_(bindparam("ids", expanding=True)), *_SEEN)
_PORTS = select(HostPort.container_instance_id, HostPort.port, HostPort.protocol).where(
    HostPort.container_instance_id.in_(bindparam("ids", expanding=True))
)


class View:
    """One cluster's hosts, draining ones included so that a refusal can say so. Place through it, inside the ``with``
    that gave it: it notes which hosts are no longer as they were read."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.lock = threading.Lock()
        # The mark that each host was read with; None for one that is to be read again.
        self._marks: dict[str, int | None] = {}
        # The ids of all hosts, as the database told them and as a list.
        self._ids_told: object = None
        self._ids: Sequence[str] = ()
        self._networks: dict[str, str] = {}
        self._left: dict[str, int] = {}
        self._version = self.fleet.version
        self._images = ImageNotes()

    def place(self, asks: Sequence[Ask], *, seed: int) -> Plan:
        """As ``scheduler.placement.place``, on this fleet."""
        plan = place(self.fleet, asks, seed=seed)
        self._took(placed.host for placed in plan.placed)
        return plan

    def place_group(self, ask: Ask, count: int, *, seed: int) -> GroupPlan:
        """As ``scheduler.placement.place_group``, on this fleet."""
        plan = place_group(self.fleet, ask, count, seed=seed)
        self._took(on.host for on in plan.on)
        return plan

    def note_images(self, session: Session, cluster: str, family: str, revision: int, *, now: datetime) -> None:
        """Let asks of this task definition (``image_of``) prefer the hosts that have run it."""
        self._images.refresh(session, self.fleet, cluster, family, revision, now=now)

    def network(self, host_id: str) -> str:
        """The host's ``awsvpc`` network; placement gives tasks that need an address only to hosts that have one."""
        return self._networks[host_id]

    def refresh(self, session: Session, cluster: str, *, addresses: bool) -> None:
        """Make the fleet what the session sees; ``addresses`` says whether it matters how many are left."""
        session.flush()
        if self.fleet.version != self._version:
            # Someone has placed past this view, or a refresh broke off: nothing of it is known for certain.
            self._marks = dict.fromkeys(self._marks)
            self._ids_told = None
        ids, marks = self._marks_now(session, cluster)
        known = map(self._marks.get, ids)
        changed = [host_id for host_id, mark, had in zip(ids, marks, known, strict=True) if mark != had]
        for few in some(changed):
            self._read(session, cluster, few)
        if addresses:
            self._recount(session)
        self._version = self.fleet.version

    def _marks_now(self, session: Session, cluster: str) -> tuple[Sequence[str], Sequence[int]]:
        """The ids of the cluster's hosts and their marks, in the same order; hosts that are gone are forgotten."""
        connection = session.connection()
        statement = _marks(connection.dialect.name)
        ids, marks = connection.execute(statement, {"cluster": cluster}).one()
        if ids != self._ids_told:
            self._ids = _listed(ids)
            self._ids_told = ids
            for host_id in self._marks.keys() - set(self._ids):
                self._forget(host_id)
        return self._ids, _listed(marks)

    def _read(self, session: Session, cluster: str, ids: Sequence[str]) -> None:
        connection = session.connection()
        rows = connection.execute(_HOSTS, {"ids": ids, "cluster": cluster}).all()
        ports: defaultdict[str, set[Port]] = defaultdict(set)
        for owner, port, protocol in connection.execute(_PORTS, {"ids": ids}):
            ports[owner].add((port, protocol))
        groups = groups_by_host(session, cluster, ids)
        gpus, resources = free_gpus(session, rows), free_resources(session, rows)
        for row in rows:
            attributes = {attribute["name"]: attribute.get("value") for attribute in row.attributes}
            network = attributes.get(NETWORK)
            if network:
                self._networks[row.id] = network
            else:
                self._networks.pop(row.id, None)
            host = _host(row, attributes, ports[row.id], groups.get(row.id, {}))
            host = replace(
                host,
                gpus=gpus.get(row.id, ()),
                resources=resources.get(row.id, {}),
                free_addresses=min(self._left.get(network, PLENTY), PLENTY) if network else 0,
            )
            self.fleet.put(host)
            self._marks[row.id] = row.revision

    def _recount(self, session: Session) -> None:
        """How many addresses are left is written in no host's row: hosts may share a network."""
        self._left = dict(addresses_left(session, set(self._networks.values())))
        for host_id, network in self._networks.items():
            left = min(self._left[network], PLENTY)
            host = self.fleet.host(host_id)
            if host.free_addresses != left:
                self.fleet.put(replace(host, free_addresses=left))

    def _took(self, hosts: Iterable[str]) -> None:
        for host_id in hosts:
            self._marks[host_id] = None
        self._version = self.fleet.version

    def _forget(self, host_id: str) -> None:
        self.fleet.drop(host_id)
        del self._marks[host_id]
        self._networks.pop(host_id, None)


class Fleets:
    """The views of one process, by cluster; those looked at last are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._views: OrderedDict[str, View] = OrderedDict()

    @contextmanager
    def view(self, session: Session, cluster: str, *, addresses: bool = True) -> Iterator[View]:
        """The cluster's hosts as the session sees them, for this thread alone while it decides.

        Whoever is going to write holds the cluster first (``lock_cluster``); nothing is written inside.
        """
        with self._lock:
            view = self._views.get(cluster) or View()
            self._views[cluster] = view
            self._views.move_to_end(cluster)
            if len(self._views) > MOST_CLUSTERS:
                self._views.popitem(last=False)
        with view.lock:
            view.refresh(session, cluster, addresses=addresses)
            yield view


@cache
def _marks(dialect: str) -> Select[Any]:
    """Ids and marks as two lists in one row: a row for each host at every look would cost more than all the rest."""
    hosts = select(_TABLE.id, _TABLE.revision).where(*_SEEN).order_by(_TABLE.status, _TABLE.id).subquery()
    listed = func.json_group_array if dialect == "sqlite" else func.array_agg
    return select(listed(hosts.c.id), listed(hosts.c.revision))


def _listed(told: object) -> Sequence[Any]:
    """A list as the database tells it: PostgreSQL knows lists, and an empty one as NULL; SQLite writes JSON."""
    if isinstance(told, str):
        found: list[Any] = json.loads(told)
        return found
    return told if isinstance(told, list) else ()


def _host(row: Row[Any], attributes: dict[str, str | None], taken: set[Port], groups: dict[str, int]) -> Host:
    return Host(
        id=row.id,
        registered_cpu=row.registered_cpu,
        registered_memory=row.registered_memory,
        free_cpu=row.free_cpu,
        free_memory=row.free_memory,
        ports=frozenset(taken) | _kept_ports(row.resources),
        attributes=attributes,
        status=row.status,
        connected=row.agent_connected,
        tasks=sum(groups.values()),
        groups=groups,
        registered_gpus=len(registered_gpus(row.resources)),
        registered_resources=registered_resources(row.resources),
        instance_id=row.ec2_instance_id,
        agent_version=row.version_info.get("agentVersion", ""),
        registered_at=row.registered_at,
    )


def _kept_ports(resources: Iterable[dict[str, Any]]) -> frozenset[Port]:
    """Ports that the host itself keeps, as its agent registered them."""
    return frozenset(
        (int(port), "udp" if resource["name"] == "PORTS_UDP" else "tcp")
        for resource in resources
        if resource["name"] in ("PORTS", "PORTS_UDP")
        for port in resource.get("stringSetValue", ())
    )
