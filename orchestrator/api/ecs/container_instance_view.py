"""How a container instance looks to a client of the ECS API."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from orchestrator.api.ecs.lookup import container_instance_arn
from orchestrator.call import Call
from state.container_instances import ContainerInstance, HostPort
from state.task_counts import tally_hosts

TAGS = "TAGS"
HEALTH = "CONTAINER_INSTANCE_HEALTH"


def render_container_instance(call: Call, instance: ContainerInstance) -> dict[str, Any]:
    """One host as the calls about a single one answer it."""
    return render_container_instances(call, [instance])[0]


def render_container_instances(
    call: Call, instances: Sequence[ContainerInstance], *, include: Collection[str] = (TAGS,)
) -> list[dict[str, Any]]:
    """Hosts as DescribeContainerInstances answers them, with their counts and ports in two set-based reads."""
    ids = [instance.id for instance in instances]
    ports: dict[str, list[tuple[int, str]]] = {}
    for host, port, protocol in call.session.execute(
        select(HostPort.container_instance_id, HostPort.port, HostPort.protocol).where(
            HostPort.container_instance_id.in_(ids)
        )
    ):
        ports.setdefault(host, []).append((port, protocol))
    counts = tally_hosts(call.session, ids)
    return [_render(call, i, counts.get(i.id, {}), ports.get(i.id, []), include) for i in instances]


def _render(
    call: Call,
    instance: ContainerInstance,
    tasks: Mapping[str, int],
    taken: Sequence[tuple[int, str]],
    include: Collection[str],
) -> dict[str, Any]:
    free = {"CPU": instance.free_cpu, "MEMORY": instance.free_memory}
    view: dict[str, Any] = {
        "containerInstanceArn": container_instance_arn(call, instance.cluster, instance.id),
        "ec2InstanceId": instance.ec2_instance_id or None,
        "versionInfo": instance.version_info,
        "registeredResources": [_resource(resource) for resource in instance.resources],
        "remainingResources": [_remaining(_resource(resource), free, taken) for resource in instance.resources],
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


def _remaining(resource: dict[str, Any], free: Mapping[str, int], taken: Sequence[tuple[int, str]]) -> dict[str, Any]:
    name = str(resource.get("name"))
    if name in free:
        return {**resource, "integerValue": free[name]}
    if name in ("PORTS", "PORTS_UDP"):
        protocol = "udp" if name == "PORTS_UDP" else "tcp"
        ports = [str(port) for port, of in taken if of == protocol]
        return {**resource, "stringSetValue": [*resource.get("stringSetValue", ()), *ports]}
    return resource
