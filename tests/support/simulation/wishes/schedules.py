"""Wishes about schedules: once, or now and then, run a task."""

from datetime import timedelta
from typing import Any

from tests.support.simulation.user import User

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/default"
MOST_SCHEDULES = 4


def create_schedule(user: User) -> None:
    """At an instant soon, or every minute for some minutes."""
    if len(user.ledger.schedules) >= MOST_SCHEDULES:
        return
    now = user.now()
    name = user.token()
    request: dict[str, Any] = {"ScheduleExpression": f"at({now + timedelta(seconds=20):%Y-%m-%dT%H:%M:%S})"}
    if user.chance.random() < 0.5:
        request = {"ScheduleExpression": "rate(1 minute)", "EndDate": now + timedelta(minutes=4)}
    user.call(
        "scheduler",
        "CreateSchedule",
        Name=name,
        ClientToken=name,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": CLUSTER,
            "RoleArn": "arn:aws:iam::123456789012:role/scheduler",
            "EcsParameters": {"TaskDefinitionArn": f"{CLUSTER.rpartition(':')[0]}:task-definition/small-soon"},
        },
        **request,
    )
    user.note(f"user: CreateSchedule {name} {request['ScheduleExpression']}")
    user.ledger.schedules.add(name)
