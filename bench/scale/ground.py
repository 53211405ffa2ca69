"""The ground of a run, made through the API: a cluster, its hosts, a small task definition, and services.

Hosts register as agents do. Each has room for ``TASKS_PER_HOST`` of the small tasks and a few more.
"""

from collections.abc import Sequence

from bench.scale.plane import Plane
from kit.ids import last_part

CLUSTER = "bench"
FAMILY = "small"
# The size of a task: a container of its own with an image, a command and an environment, as in C2M's.
CPU, MEMORY = 10, 32
TASKS_PER_HOST = 332
SERVICE_TASKS = 5_000  # what ECS allows a service
ZONES = "abc"
CONTAINER = {
    "name": "main",
    "image": "registry.example.com/team/worker:2026-01",
    "cpu": CPU,
    "memory": MEMORY,
    "essential": True,
    "command": ["worker", "--queue", "default"],
    "environment": [{"name": "STAGE", "value": "production"}, {"name": "LOG_LEVEL", "value": "info"}],
}


def make_ground(plane: Plane, hosts: int, tasks_per_host: int = TASKS_PER_HOST) -> list[str]:
    """Cluster, task definition and hosts; answers the ids of the hosts, which no agent serves yet."""
    plane.call("CreateCluster", clusterName=CLUSTER)
    registered = plane.call("RegisterTaskDefinition", family=FAMILY, containerDefinitions=[CONTAINER])
    needed = registered["taskDefinition"].get("requiresAttributes", [])
    return [register_host(plane, number, tasks_per_host, needed) for number in range(hosts)]


def register_host(plane: Plane, number: int, tasks: int, attributes: Sequence[dict[str, str]]) -> str:
    """One host with room for ``tasks`` tasks; answers its id."""
    zone = f"us-east-1{ZONES[number % len(ZONES)]}"
    answer = plane.call(
        "RegisterContainerInstance",
        cluster=CLUSTER,
        totalResources=[
            {"name": "CPU", "type": "INTEGER", "integerValue": tasks * CPU},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": tasks * MEMORY},
            {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "2375", "2376"]},
        ],
        attributes=[*attributes, {"name": "ecs.availability-zone", "value": zone}],
    )
    return last_part(answer["containerInstance"]["containerInstanceArn"])


def create_services(plane: Plane, tasks: int) -> list[str]:
    """Services that wish for ``tasks`` tasks in all, binpacked on memory; answers their names."""
    names = []
    for number, count in enumerate(_shares(tasks)):
        name = f"worker-{number:04}"
        plane.call(
            "CreateService",
            cluster=CLUSTER,
            serviceName=name,
            taskDefinition=FAMILY,
            launchType="EC2",
            desiredCount=count,
            placementStrategy=[{"type": "binpack", "field": "memory"}],
        )
        names.append(name)
    return names


def _shares(tasks: int) -> list[int]:
    """``tasks`` in services of at most SERVICE_TASKS."""
    whole, rest = divmod(tasks, SERVICE_TASKS)
    return [SERVICE_TASKS] * whole + ([rest] if rest else [])
