"""The ground of a run, made through the API: a small task definition, and services that wish for many of its tasks."""

from collections.abc import Sequence

from bench.scale.plane import Plane

CLUSTER = "bench"
FAMILY = "small"
# A task's CPU units and MiB; its container has an image, a command and an environment, as real ones do.
CPU, MEMORY = 10, 32
SERVICE_TASKS = 5_000  # what ECS allows a service
CONTAINER = {
    "name": "main",
    "image": "registry.example.com/team/worker:2026-01",
    "cpu": CPU,
    "memory": MEMORY,
    "essential": True,
    "command": ["worker", "--queue", "default"],
    "environment": [{"name": "STAGE", "value": "production"}, {"name": "LOG_LEVEL", "value": "info"}],
}
Wish = tuple[str, int]
"""A service's name and how many tasks it is to have."""


def define_task(plane: Plane) -> None:
    """The cluster and the task definition."""
    plane.call("CreateCluster", clusterName=CLUSTER)
    plane.call("RegisterTaskDefinition", family=FAMILY, containerDefinitions=[CONTAINER])


def create_services(plane: Plane, tasks: int) -> Sequence[Wish]:
    """Services that are to have ``tasks`` tasks in all, binpacked on memory; for now they wish for none."""
    whole, rest = divmod(tasks, SERVICE_TASKS)
    counts = [SERVICE_TASKS] * whole + ([rest] if rest else [])
    wishes = [(f"worker-{number:04}", count) for number, count in enumerate(counts)]
    for name, _ in wishes:
        plane.call(
            "CreateService",
            cluster=CLUSTER,
            serviceName=name,
            taskDefinition=FAMILY,
            launchType="EC2",
            desiredCount=0,
            placementStrategy=[{"type": "binpack", "field": "memory"}],
        )
    return wishes


def wish(plane: Plane, wishes: Sequence[Wish]) -> None:
    """Say what is wanted: one UpdateService after another."""
    for name, count in wishes:
        plane.call("UpdateService", cluster=CLUSTER, service=name, desiredCount=count)
