"""Hosts and asks for ``berth explain``, built from what the API describes, so that the engine itself can be asked.

The same facts as the scheduler's, with one exception: the addresses of ``awsvpc`` networks are in no answer of the
API, so a host that has such a network is taken to have one left.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.cli.asking import chunks, last_part, pages, sizes_of
from scheduler.placement import (
    Ask,
    Constraint,
    Host,
    ask_of,
    demand_of,
    parse,
)

NETWORK = "berth.awsvpc-cidr"
NUMBERS = ("INTEGER", "LONG", "DOUBLE")


def one_more(
    definition: Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    *,
    group: str,
    constraints: Sequence[Mapping[str, Any]] = (),
    strategy: Sequence[Mapping[str, Any]] = (),
) -> Ask:
    """The ask of one more task of the task definition, as DescribeTaskDefinition shows it."""
    return ask_of(
        definition,
        demand_of(definition, overrides),
        id="one-more",
        group=group,
        constraints=[*(definition.get("placementConstraints") or ()), *constraints],
        strategy=strategy,
    )


def ask_of_job(job: Mapping[str, Any]) -> Ask:
    """The ask of a job, as DescribeJobs shows it."""
    container = job.get("container") or {}
    wanted = {need["type"]: need["value"] for need in container.get("resourceRequirements") or ()}
    return Ask(
        id="one-more",
        cpu=round(float(wanted.get("VCPU") or container.get("vcpus") or 0) * 1024),
        memory=int(wanted.get("MEMORY") or container.get("memory") or 0),
        gpus=int(wanted.get("GPU") or 0),
    )


def hosts_of(ecs: Any, cluster: str, ask: Ask) -> list[Host]:
    """The cluster's hosts; who runs there only when the ask looks at that."""
    arns = list(pages(ecs, "list_container_instances", "containerInstanceArns", cluster=cluster))
    groups = _groups(ecs, cluster) if any(_looks_at_tasks(rule) for rule in ask.constraints) else {}
    return [
        host_of(said, groups.get(last_part(said["containerInstanceArn"]), {}))
        for chunk in chunks(arns)
        for said in ecs.describe_container_instances(cluster=cluster, containerInstances=chunk)["containerInstances"]
    ]


def _looks_at_tasks(rule: Constraint) -> bool:
    return rule.type == "distinctInstance" or parse(rule.expression or "").volatile


def _groups(ecs: Any, cluster: str) -> Mapping[str, Mapping[str, int]]:
    groups: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for chunk in chunks(list(pages(ecs, "list_tasks", "taskArns", cluster=cluster))):
        for task in ecs.describe_tasks(cluster=cluster, tasks=chunk)["tasks"]:
            if task.get("containerInstanceArn"):
                groups[last_part(task["containerInstanceArn"])][task.get("group", "")] += 1
    return groups


def host_of(said: Mapping[str, Any], groups: Mapping[str, int]) -> Host:
    """A host as DescribeContainerInstances shows it, with the tasks on it by group."""
    has, left = said["registeredResources"], said["remainingResources"]
    sizes, free = sizes_of(has), sizes_of(left)
    attributes = {attribute["name"]: attribute.get("value") for attribute in said["attributes"]}
    return Host(
        id=last_part(said["containerInstanceArn"]),
        registered_cpu=sizes.get("CPU", 0),
        registered_memory=sizes.get("MEMORY", 0),
        free_cpu=free.get("CPU", 0),
        free_memory=free.get("MEMORY", 0),
        ports=frozenset(
            (int(port), protocol)
            for name, protocol in (("PORTS", "tcp"), ("PORTS_UDP", "udp"))
            for port in _texts(left, name)
        ),
        attributes=attributes,
        status=said["status"],
        connected=said["agentConnected"],
        tasks=said["runningTasksCount"] + said["pendingTasksCount"],
        groups=groups,
        free_addresses=None if attributes.get(NETWORK) else 0,
        gpus=tuple(_texts(left, "GPU")),
        registered_gpus=len(_texts(has, "GPU")),
        resources=_named(left),
        registered_resources=_named(has),
        instance_id=said.get("ec2InstanceId", ""),
        agent_version=(said.get("versionInfo") or {}).get("agentVersion", ""),
        registered_at=said["registeredAt"],
    )


def _texts(resources: Sequence[Mapping[str, Any]], name: str) -> Sequence[str]:
    return [text for resource in resources if resource["name"] == name for text in resource.get("stringSetValue", ())]


def _named(resources: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {
        resource["name"]: int(resource.get("longValue") or resource.get("integerValue") or 0)
        for resource in resources
        if resource.get("type") in NUMBERS and resource["name"] not in ("CPU", "MEMORY")
    }
