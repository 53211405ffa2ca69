"""An ECS control plane in one process: boto3 in front, the services loop stepped by hand, and no agent.

What an agent would report is written by the test: tasks run, pass their health checks, end.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import select

from kit.clock import ManualClock
from kit.ids import new_id
from orchestrator.agents.presence import Presence
from orchestrator.operations import SERVICES
from scheduler.ending import end_task
from scheduler.loops.services import ServicesLoop
from state.container_instances import ContainerInstance
from state.loop import Leases
from state.store import Session
from state.tasks import Task
from tests.support.loopback import Loopback

WEB = {"name": "web", "image": "web:1", "memory": 64}
CHECKED = {**WEB, "healthCheck": {"command": ["CMD", "true"]}}
MOST_ROUNDS = 30
NEEDED = ("com.amazonaws.ecs.capability.docker-remote-api.1.18", "ecs.capability.container-health-check")


class ServicesPlane(Loopback):
    """``ecs`` is the client, ``loop`` the scheduler's; time passes by ``tick``."""

    def __init__(self, url: str) -> None:
        super().__init__(url, SERVICES)
        # The API runs on the machine's clock, as signatures must be fresh; the loop's starts there and is moved.
        self.loop_clock = ManualClock(datetime.now(UTC))
        self.loop = self.make_loop("one")
        self.ecs = self.client("ecs")
        self.ecs.create_cluster()

    def make_loop(self, holder: str) -> ServicesLoop:
        """The services loop of one scheduler process, under a lease of its own."""
        leases = Leases(self.store, self.loop_clock, holder)
        return ServicesLoop(self.store, self.loop_clock, leases, self.settings, Random(7))

    def add_host(self, *, memory: int = 1024, **members: Any) -> str:
        """A connected host; answers its id."""
        host = new_id()
        sizes = {"registered_cpu": 1024, "registered_memory": memory, "free_cpu": 1024, "free_memory": memory}
        usual: dict[str, Any] = {"agent_connected": True, "registered_at": self.loop_clock.now(), **sizes}
        usual["attributes"] = [{"name": name, "value": ""} for name in NEEDED]

        def join(session: Session) -> None:
            session.add(ContainerInstance(id=host, cluster="default", **{**usual, **members}))

        self.store.transact(join)
        return host

    def register(self, container: dict[str, Any] | None = None, family: str = "web", **members: Any) -> None:
        self.ecs.register_task_definition(family=family, containerDefinitions=[container or WEB], **members)

    def create(self, count: int | None = 2, **members: Any) -> dict[str, Any]:
        asked = {"serviceName": "web", "taskDefinition": "web", **members}
        if count is not None:
            asked["desiredCount"] = count
        made: dict[str, Any] = self.ecs.create_service(**asked)["service"]
        return made

    def update(self, **members: Any) -> dict[str, Any]:
        changed: dict[str, Any] = self.ecs.update_service(service="web", **members)["service"]
        return changed

    def service(self, name: str = "web") -> dict[str, Any]:
        """The service as DescribeServices shows it."""
        found: list[dict[str, Any]] = self.ecs.describe_services(services=[name])["services"]
        return found[0]

    def messages(self) -> list[str]:
        """The service's events, oldest first, with ids left out."""
        return [event["message"] for event in reversed(self.service()["events"])]

    def step(self, times: int = 1) -> datetime | None:
        due = None
        for _ in range(times):
            due = self.loop.step()
        return due

    def tick(self, **length: float) -> None:
        self.loop_clock.tick(**length)

    def tasks(self, *, alive: bool = True) -> list[Task]:
        """Every task, oldest first; with ``alive`` only those that have not stopped."""
        rows = self.store.read(lambda session: session.scalars(select(Task).order_by(Task.created_at, Task.id)).all())
        return [task for task in rows if task.last_status != "STOPPED" or not alive]

    def run(self, tasks: Sequence[Task] | None = None, *, health: str = "UNKNOWN") -> None:
        """The agents do what they were told: starting tasks run, tasks told to stop have stopped."""
        chosen = {task.id for task in (self.tasks() if tasks is None else tasks)}
        now = self.loop_clock.now()

        def report(session: Session) -> None:
            for task in session.scalars(select(Task).where(Task.id.in_(chosen))):
                if task.desired_status == "STOPPED":
                    end_task(session, task, now=now, because="told to stop")
                elif task.last_status == "PENDING":
                    task.advance("RUNNING", at=now, because="its containers run")
                    task.started_at = now
                    task.health_status = health

        self.store.transact(report)

    def check(self, tasks: Sequence[Task], health: str) -> None:
        """The tasks' health checks have a new result."""

        def report(session: Session) -> None:
            for task in session.scalars(select(Task).where(Task.id.in_([task.id for task in tasks]))):
                task.health_status = health

        self.store.transact(report)

    def crash(self, tasks: Sequence[Task]) -> None:
        """The tasks end by themselves."""
        now = self.loop_clock.now()

        def report(session: Session) -> None:
            for task in session.scalars(select(Task).where(Task.id.in_([task.id for task in tasks]))):
                task.stop_code = "EssentialContainerExited" if task.started_at else "TaskFailedToStart"
                end_task(session, task, now=now, because="Essential container in task exited")

        self.store.transact(report)

    def come_to_rest(self, *, health: str = "UNKNOWN", settle: timedelta = timedelta(seconds=41)) -> None:
        """Agents do as told and time passes until the service is at rest."""
        for _ in range(MOST_ROUNDS):
            before = self._picture()
            self.step()
            self.run(health=health)
            self.loop_clock.tick(seconds=settle.total_seconds())
            self.step()
            if self._picture() == before:
                return
        raise AssertionError("the service never comes to rest")

    def _picture(self) -> list[tuple[str, str, str]]:
        return [(task.id, task.last_status, task.desired_status) for task in self.tasks()]


def host_of(plane: Loopback, cluster: str = "default", memory: int = 1024, **attributes: str) -> str:
    """A host that has registered and is connected; answers its id."""
    sizes = {"CPU": 1024, "MEMORY": memory}
    arn: str = plane.client("ecs").register_container_instance(
        cluster=cluster,
        totalResources=[{"name": name, "type": "INTEGER", "integerValue": size} for name, size in sizes.items()],
        attributes=[
            *({"name": name} for name in NEEDED),
            *({"name": name, "value": value} for name, value in attributes.items()),
        ],
    )["containerInstance"]["containerInstanceArn"]
    host = arn.rsplit("/", 1)[-1]
    Presence(plane.store, plane.clock).arrived(host, "connection")
    return host
