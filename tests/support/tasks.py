"""An ECS control plane in one process for tests of tasks: boto3 in front, and the agents' calls made by the test."""

from collections.abc import Mapping
from typing import Any

from kit.settings import Settings
from orchestrator.agents.presence import Presence
from orchestrator.operations import SERVICES
from tests.support.loopback import Loopback

SMALL = {"name": "main", "image": "i:1", "memory": 64}
FARGATE = {"requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512"}
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
# What a host of 1 vCPU and 1 GiB registers with, and no more.
SIZES = [{"name": name, "type": "INTEGER", "integerValue": 1024} for name in ("CPU", "MEMORY")]
CAPABLE = [{"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"}]
ATTRIBUTES = [
    *CAPABLE,
    {"name": "ecs.capability.task-eni"},
    {"name": "berth.awsvpc-cidr", "value": "10.9.0.0/24"},
]


class TasksPlane(Loopback):
    """``ecs`` is the client; hosts register as agents do and are connected as their sockets would connect them."""

    def __init__(self, url: str, *, settings: Settings | None = None) -> None:
        super().__init__(url, SERVICES, settings=settings)
        self.ecs = self.client("ecs")
        self.ecs.create_cluster()

    def add_host(self, *, cpu: int = 1024, memory: int = 1024, **attributes: str) -> str:
        """Register a host and connect it; answers its ARN."""
        sizes = {"CPU": cpu, "MEMORY": memory}
        given = [*ATTRIBUTES, *({"name": name, "value": value} for name, value in attributes.items())]
        host: str = self.ecs.register_container_instance(
            totalResources=[{"name": name, "type": "INTEGER", "integerValue": size} for name, size in sizes.items()],
            attributes=given,
        )["containerInstance"]["containerInstanceArn"]
        Presence(self.store, self.clock).arrived(host.rsplit("/", 1)[-1], "connection")
        return host

    def register(self, family: str = "t", *containers: Mapping[str, Any], **members: Any) -> None:
        self.ecs.register_task_definition(family=family, containerDefinitions=[*(containers or [SMALL])], **members)

    def run(self, family: str = "t", **members: Any) -> dict[str, Any]:
        """Run one task that must find its place; answers it."""
        answer = self.ecs.run_task(taskDefinition=family, **members)
        assert not answer["failures"], answer["failures"]
        task: dict[str, Any] = answer["tasks"][0]
        return task

    def task(self, arn: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_tasks(tasks=[arn])["tasks"][0]
        return found

    def report(self, arn: str, status: str, *, container: Mapping[str, Any] | None = None, **members: Any) -> None:
        """What an agent reports of a task with one container."""
        state = {"containerName": "main", "status": status, **(container or {})}
        self.ecs.submit_task_state_change(task=arn, status=status, containers=[state], **members)

    def free(self, host: str) -> dict[str, int]:
        """What is left on a host."""
        found = self.ecs.describe_container_instances(containerInstances=[host])["containerInstances"][0]
        return {r["name"]: r["integerValue"] for r in found["remainingResources"] if r["type"] == "INTEGER"}
