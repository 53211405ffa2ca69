"""A control plane with EventBridge Scheduler, and the schedules loop beside it, for tests through boto3."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from kit.aws.sigv4 import Caller, Key
from kit.clock import ManualClock, SystemClock
from kit.settings import Settings
from orchestrator.api.scheduler.invoke import make_invoke
from orchestrator.operations import SERVICES
from scheduler.loops.schedules import SchedulesLoop
from state.firings import DeadLetter, Firing
from state.loop import Leases
from tests.support.loopback import KEY, Loopback

ROLE = "arn:aws:iam::123456789012:role/scheduler"
CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/default"
TASK_DEFINITION = "arn:aws:ecs:us-east-1:123456789012:task-definition/hello:1"
RUN_TASK = "arn:aws:scheduler:::aws-sdk:ecs:runTask"
SUBMIT_JOB = "arn:aws:scheduler:::aws-sdk:batch:submitJob"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:letters"
OFF = {"Mode": "OFF"}
ECS = {"Arn": CLUSTER, "RoleArn": ROLE, "EcsParameters": {"TaskDefinitionArn": TASK_DEFINITION}}
FARGATE = {
    "TaskDefinitionArn": TASK_DEFINITION,
    "LaunchType": "FARGATE",
    "NetworkConfiguration": {"awsvpcConfiguration": {"Subnets": ["subnet-1"], "AssignPublicIp": "ENABLED"}},
    "Tags": [{"key": "from", "value": "schedule"}],
}


class Berth(Loopback):
    """All services over one store, and the schedules loop beside them."""

    clock: ManualClock

    def __init__(self, url: str, data: Path) -> None:
        # Keys of this test may do what their name says.
        narrow = Caller(
            access_key_id="AKIANARROW",
            principal_arn="arn:aws:iam::123456789012:user/narrow",
            account="123456789012",
            actions=("scheduler:*", "batch:*"),
        )
        self.narrow = Key(access_key_id="AKIANARROW", secret="narrow", caller=narrow)
        keys = {key.access_key_id: key for key in (KEY, self.narrow)}
        super().__init__(
            url,
            SERVICES,
            clock=ManualClock(SystemClock().now()),
            settings=Settings(data=data),
            find_key=keys.get,
        )
        self.loop = SchedulesLoop(
            self.store,
            self.clock,
            Leases(self.store, self.clock, "test"),
            invoke=make_invoke(self.settings, self.secrets, self.clock),
        )

    def firings(self) -> list[Firing]:
        return list(self.store.read(lambda session: session.scalars(select(Firing).order_by(Firing.due_at)).all()))

    def letters(self) -> list[DeadLetter]:
        return list(self.store.read(lambda session: session.scalars(select(DeadLetter)).all()))


def at(berth: Berth, **later: int) -> str:
    return f"at({berth.clock.now() + timedelta(**later):%Y-%m-%dT%H:%M:%S})"


def create(client: Any, name: str = "s", **given: Any) -> str:
    asked = {"ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": OFF, "Target": ECS, **given}
    arn: str = client.create_schedule(Name=name, **asked)["ScheduleArn"]
    return arn


def prepare_task(berth: Berth) -> Any:
    ecs = berth.client("ecs")
    ecs.create_cluster(clusterName="default")
    ecs.register_task_definition(
        family="hello",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "main", "image": "hello", "essential": True}],
    )
    return ecs
