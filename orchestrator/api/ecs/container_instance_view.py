"""How a container instance looks to a client of the ECS API."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from orchestrator.api.ecs.lookup import container_instance_arn
from orchestrator.call import Call
from state.container_instances import ContainerInstance, HostPort
from state.devices import free_gpus, free_resources
from state.task_counts import tally_hosts

TAGS = "TAGS"
HEALTH = "CONTAINER_INSTANCE_HEALTH"


def render_container_instance(call: Call, instance: ContainerInstance) -> dict[str, Any]:
    """One host as the calls about a single one answer it."""
    return render_container_instances(call, [instance])[0]


def render_container_instances(
    call: Call, instances: Sequence[ContainerInstance], *, include: Collection[str] = (TAGS,)
) -> list[dict[str, Any]]:
    """Hosts as DescribeContainerInstances answers them, with their counts, ports and devices in set-based reads."""
    ids = [instance.id for instance in instances]
    ports: dict[str, list[tuple[int, str]]] = {}
    for host, port, protocol in call.session.execute(
        select(HostPort.container_instance_id, HostPort.port, HostPort.protocol).where(
            HostPort.container_instance_id.in_(ids)
        )
    ):
        ports.setdefault(host, []).append((port, protocol))
    counts = tally_hosts(call.session, ids)
    gpus = free_gpus(call.session, instances)
    amounts = free_resources(call.session, instances)
    left = {
        i.id: _Left(
            amounts={**amounts.get(i.id, {}), "CPU": i.free_cpu, "MEMORY": i.free_memory},
            ports=ports.get(i.id, ()),
            gpus=gpus.get(i.id, ()),
        )
        for i in instances
    }
    return [_render(call, i, counts.get(i.id, {}), left[i.id], include) for i in instances]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Left:
    """What a host has left: amounts by name, GPUs; and the ports it has given out."""

    amounts: Mapping[str, int]
    ports: Sequence[tuple[int, str]]
    gpus: Sequence[str]


def _render(
    call: Call,
    instance: ContainerInstance,
    tasks: Mapping[str, int],
    left: _Left,
    include: Collection[str],
) -> dict[str, Any]:
    view: dict[str, Any] = {
        "containerInstanceArn": container_instance_arn(call, instance.cluster, instance.id),
        "ec2InstanceId": instance.ec2_instance_id or None,
        "versionInfo": instance.version_info,
        "registeredResources": [_resource(resource) for resource in instance.resources],
        "remainingResources": [_remaining(_resource(resource), left) for resource in instance.resources],
        "status": instance.status,
        "agentConnected": instance.agent_connected,
        "runningTasksCount": tasks.get("RUNNING", 0),
        "pendingTasksCount": tasks.get("PENDING", 0),
        "attributes": instance.attributes,
        "attachments": [],
        "registeredAt": instance.registered_at,
        "tags": instance.tags if TAGS in include else [],
        "healthStatus": _health(instance) if HEALTH in include else None,
    }
    return {member: value for member, value in view.items() if value is not None}


def _health(instance: ContainerInstance) -> dict[str, Any]:
    """What the agent last said of its container engine."""
    status = instance.health_status
    return {"overallStatus": status, "details": [{"type": "CONTAINER_RUNTIME", "status": status}]}


def _resource(given: Mapping[str, Any]) -> dict[str, Any]:
    """A resource with all the members clients read, also those its type leaves at zero."""
    return {"doubleValue": 0.0, "longValue": 0, "integerValue": 0, **given}


def _remaining(resource: dict[str, Any], left: _Left) -> dict[str, Any]:
    """What is left of a resource; of ports ECS shows those that are in use."""
    name = str(resource.get("name"))
    match name:
        case "PORTS" | "PORTS_UDP":
            protocol = "udp" if name == "PORTS_UDP" else "tcp"
            ports = [str(port) for port, of in left.ports if of == protocol]
            return {**resource, "stringSetValue": [*resource.get("stringSetValue", ()), *ports]}
        case "GPU":
            return {**resource, "stringSetValue": list(left.gpus)}
        case _:
            member = "longValue" if resource.get("type") == "LONG" else "integerValue"
            return {**resource, member: left.amounts.get(name, 0)}
