"""A Batch control plane in one process: boto3 in front, the three loops of Batch stepped by hand, and no agent.

What an agent would report is written by the test: a task starts, a task ends with an exit code.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from sqlalchemy import select

from kit.aws.service import Service
from kit.clock import ManualClock
from kit.ids import new_id
from kit.settings import Settings
from orchestrator.operations import SERVICES
from scheduler.ending import end_task
from scheduler.loops.compute_environments import ComputeEnvironmentsLoop
from scheduler.loops.job_queues import JobQueuesLoop
from scheduler.loops.jobs import JobsLoop
from state.clusters import get_cluster
from state.compute_environments import ComputeEnvironment
from state.container_instances import ContainerInstance
from state.jobs import Job
from state.loop import Leases, Loop
from state.store import Session
from state.tasks import Task
from tests.support.loopback import Loopback

T = TypeVar("T")
LOOPS = ("jobs", "compute_environments", "job_queues")
MOST_STEPS = 2000

FARGATE = {
    "type": "FARGATE",
    "maxvCpus": 16,
    "subnets": ["subnet-1"],
    "securityGroupIds": ["sg-1"],
}
EC2 = {
    "type": "EC2",
    "minvCpus": 0,
    "maxvCpus": 16,
    "instanceTypes": ["m5"],
    "instanceRole": "ecsInstanceRole",
    "subnets": ["subnet-1"],
    "securityGroupIds": ["sg-1"],
}
CONTAINER = {
    "image": "busybox",
    "command": ["echo", "hello"],
    "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
}
FARGATE_CONTAINER = {
    "image": "busybox",
    "command": ["echo", "hello"],
    "executionRoleArn": "arn:aws:iam::123456789012:role/run",
    "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}],
}


class BatchPlane(Loopback):
    """``batch`` is the client; ``settle`` runs the loops until nothing moves any more."""

    def __init__(self, url: str, services: Sequence[Service] = SERVICES, *, settings: Settings | None = None) -> None:
        super().__init__(url, services, settings=settings)
        # The API runs on the machine's clock, as signatures must be fresh; the loops' clock starts there and is moved.
        self.loop_clock = ManualClock(datetime.now(UTC))
        self.loops = self.make_loops("one")
        self._woken = {*LOOPS}
        for name in LOOPS:
            self.store.wakes.listen(name, lambda name=name: self._woken.add(name))  # type: ignore[misc]
        self.batch = self.client("batch")

    def make_loops(self, holder: str) -> dict[str, Loop]:
        """The loops of one scheduler process, under leases of its own."""
        leases = Leases(self.store, self.loop_clock, holder)
        return {
            "jobs": JobsLoop(self.store, self.loop_clock, leases, settings=self.settings),
            "compute_environments": ComputeEnvironmentsLoop(
                self.store, self.loop_clock, leases, settings=self.settings
            ),
            "job_queues": JobQueuesLoop(self.store, self.loop_clock, leases),
        }

    def settle(self) -> int:
        """Step every loop that is woken, until none is; answers the number of steps."""
        self._woken |= {*LOOPS}
        steps = 0
        while self._woken:
            name = min(self._woken)
            self._woken.discard(name)
            self.loops[name].step()
            steps += 1
            assert steps < MOST_STEPS, "the loops never come to rest"
        return steps

    def environment(self, name: str = "ce", resources: dict[str, Any] | None = None) -> str:
        """A VALID compute environment: managed of these resources, or UNMANAGED."""
        managed = {"type": "MANAGED", "computeResources": resources} if resources else {"type": "UNMANAGED"}
        self.batch.create_compute_environment(computeEnvironmentName=name, **managed)
        self.settle()
        return name

    def queue(self, name: str = "queue", environments: Sequence[str] = ("ce",), **members: Any) -> str:
        """A VALID job queue."""
        order = [{"order": i, "computeEnvironment": one} for i, one in enumerate(environments)]
        wanted = {"priority": 1, "computeEnvironmentOrder": order, **members}
        self.batch.create_job_queue(jobQueueName=name, **wanted)
        self.settle()
        return name

    def definition(self, name: str = "work", container: dict[str, Any] | None = None, **members: Any) -> str:
        """A job definition of type container; answers ``name:revision``."""
        wanted = {"containerProperties": container or CONTAINER, **members}
        made = self.batch.register_job_definition(jobDefinitionName=name, type="container", **wanted)
        return f"{name}:{made['revision']}"

    def furnish(self, *, hosts: int = 0, **host: Any) -> None:
        """An UNMANAGED environment with so many hosts, of 4 vCPU unless told, a queue, and a definition of 1 vCPU."""
        self.environment()
        for _ in range(hosts):
            self.add_host(**host)
        self.queue()
        self.definition()

    def submit(self, name: str = "job", **members: Any) -> str:
        """A job's id."""
        wanted = {"jobQueue": "queue", "jobDefinition": "work", **members}
        return str(self.batch.submit_job(jobName=name, **wanted)["jobId"])

    def job(self, job_id: str) -> dict[str, Any]:
        """The job as DescribeJobs shows it."""
        found: list[dict[str, Any]] = self.batch.describe_jobs(jobs=[job_id])["jobs"]
        return found[0]

    def status(self, job_id: str) -> str:
        return str(self.job(job_id)["status"])

    def transact(self, work: Callable[[Session], T]) -> T:
        return self.store.transact(work)

    def add_host(self, environment: str = "ce", *, cpu: int = 4096, memory: int = 8192, **members: Any) -> str:
        """A host that has joined the environment's cluster; answers its id."""
        instance_id = new_id()

        def join(session: Session) -> None:
            row = session.get_one(ComputeEnvironment, environment)
            assert get_cluster(session, row.cluster) is not None
            sizes = {"registered_cpu": cpu, "registered_memory": memory, "free_cpu": cpu, "free_memory": memory}
            usual = {"agent_connected": True, "registered_at": self.loop_clock.now(), **sizes}
            session.add(ContainerInstance(**{"id": instance_id, "cluster": row.cluster, **usual, **members}))

        self.transact(join)
        return instance_id

    def tasks(self) -> list[Task]:
        """Every task, the oldest first."""
        return list(self.store.read(lambda session: session.scalars(select(Task).order_by(Task.created_at)).all()))

    def task_of(self, job_id: str) -> Task:
        """The task of the job's last attempt."""
        return self.store.read(
            lambda session: session.get_one(Task, session.get_one(Job, job_id).task_id)  # type: ignore[arg-type]
        )

    def run(self, job_id: str) -> None:
        """The agent reports that the job's task runs."""

        def report(session: Session) -> None:
            task = session.get_one(Task, session.get_one(Job, job_id).task_id)
            task.advance("RUNNING", at=self.loop_clock.now(), because="its containers run")
            task.started_at = self.loop_clock.now()
            session.wake("jobs")

        self.transact(report)

    def end(self, job_id: str, *, exit_code: int | None = 0, reason: str | None = None, stopped: str = "") -> None:
        """The agent reports that the job's task ended."""

        def report(session: Session) -> None:
            task = session.get_one(Task, session.get_one(Job, job_id).task_id)
            seen = {"exitCode": exit_code, "reason": reason}
            news = {name: value for name, value in seen.items() if value is not None}
            task.containers = [{**task.containers[0], **news, "lastStatus": "STOPPED"}]
            end_task(
                session,
                task,
                now=self.loop_clock.now(),
                because=stopped or "Essential container in task exited",
            )
            session.wake("jobs")

        self.transact(report)

    def beat(self, *, exit_code: int = 0) -> None:
        """The agents report once of every job's task: one that was starting runs, one that ran has ended."""
        for task in self.tasks():
            job_id = (task.job_id or "").rpartition("/")[0]
            if task.last_status == "PENDING":
                self.run(job_id)
            elif task.last_status == "RUNNING":
                self.end(job_id, exit_code=exit_code)

    def finish(self, job_id: str, *, exit_code: int = 0) -> None:
        """The job's task runs and ends, and the loops notice both."""
        self.run(job_id)
        self.settle()
        self.end(job_id, exit_code=exit_code)
        self.settle()


def refusal(call: Any, **request: Any) -> str:
    """The message of the ClientException that the call is answered with."""
    with pytest.raises(call.__self__.exceptions.ClientException) as caught:
        call(**request)
    return str(caught.value.response["Error"]["Message"])
