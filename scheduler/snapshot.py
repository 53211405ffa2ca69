"""Snapshots: a cluster's hosts as placement is shown them, read in four set-based queries."""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import func, select

from scheduler.placement import Host, Port
from state.addresses import NetworkAddress, count_addresses
from state.container_instances import ContainerInstance, HostPort, list_hosts
from state.store import Session
from state.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenHost:
    """A host for deciding, and its row for writing."""

    host: Host
    instance: ContainerInstance


def take_snapshot(session: Session, cluster: str) -> dict[str, SeenHost]:
    """The cluster's shared hosts by id, draining ones included so that a refusal can say so."""
    instances = list_hosts(session, cluster, ("ACTIVE", "DRAINING"))
    ids = [instance.id for instance in instances]
    ports: dict[str, set[Port]] = defaultdict(set)
    for owner, port, protocol in session.execute(
        select(HostPort.container_instance_id, HostPort.port, HostPort.protocol).where(
            HostPort.container_instance_id.in_(ids)
        )
    ):
        ports[owner].add((port, protocol))
    groups: dict[str, dict[str, int]] = defaultdict(dict)
    for host, group, count in session.execute(
        select(Task.container_instance_id, Task.group, func.count())
        .where(Task.container_instance_id.in_(ids), Task.last_status != "STOPPED", Task.desired_status == "RUNNING")
        .group_by(Task.container_instance_id, Task.group)
    ):
        groups[host or ""][group or ""] = count
    addresses = dict(
        session.execute(select(NetworkAddress.network, func.count()).group_by(NetworkAddress.network)).all()
    )
    return {
        instance.id: SeenHost(
            host=_host(instance, frozenset(ports[instance.id]), groups[instance.id], addresses), instance=instance
        )
        for instance in instances
    }


def _host(
    instance: ContainerInstance, taken: frozenset[Port], groups: dict[str, int], addresses: dict[str, int]
) -> Host:
    network = instance.attribute("berth.awsvpc-cidr")
    return Host(
        id=instance.id,
        registered_cpu=instance.registered_cpu,
        registered_memory=instance.registered_memory,
        free_cpu=instance.free_cpu,
        free_memory=instance.free_memory,
        ports=taken | _kept_ports(instance),
        attributes={attribute["name"]: attribute.get("value") for attribute in instance.attributes},
        status=instance.status,
        connected=instance.agent_connected,
        tasks=sum(groups.values()),
        groups=groups,
        free_addresses=count_addresses(network) - addresses.get(network, 0) if network else 0,
    )


def _kept_ports(instance: ContainerInstance) -> frozenset[Port]:
    """Ports that the host itself keeps, as its agent registered them."""
    return frozenset(
        (int(port), "udp" if resource["name"] == "PORTS_UDP" else "tcp")
        for resource in instance.resources
        if resource["name"] in ("PORTS", "PORTS_UDP")
        for port in resource.get("stringSetValue", ())
    )
