"""Single tasks: one on Fargate capacity that comes and goes with it, and one that a schedule runs."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.demo.image_steps import image_of
from orchestrator.demo.screen import Say
from orchestrator.demo.stage import Stage
from orchestrator.demo.waiting import expect, until

ROLE = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"
LOGS = {
    "logDriver": "awslogs",
    "options": {
        "awslogs-group": "/demo",
        "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": "demo",
        "awslogs-create-group": "true",
    },
}


def run_on_fargate(stage: Stage, say: Say) -> str:
    """A quarter of a vCPU and 512 MiB, in a network of its own, on a host that exists for it alone."""
    ecs = stage.client("ecs")
    ecs.register_task_definition(
        family="once",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        executionRoleArn=ROLE,
        containerDefinitions=[
            {
                "name": "once",
                "image": image_of(stage),
                "command": ["sh", "-c", 'echo "$(hostname -i) is mine alone"; sleep 1'],
                "logConfiguration": LOGS,
            }
        ],
    )
    expect(not stage.capacities(), "no provisioned capacity before")
    started = ecs.run_task(
        taskDefinition="once",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-demo"]}},
    )
    arn = started["tasks"][0]["taskArn"]
    path: list[str] = []
    during: set[str] = set()

    def stopped() -> Any:
        task = ecs.describe_tasks(tasks=[arn])["tasks"][0]
        during.update(stage.capacities())
        if task["lastStatus"] not in path:
            path.append(task["lastStatus"])
            say.now(" → ".join(path))
        return task if task["lastStatus"] == "STOPPED" else None

    task = until("the Fargate task has stopped", stopped, every=0.05)
    expect(task["containers"][0].get("exitCode") == 0, f"exit code 0, not: {task.get('stoppedReason')}")
    expect(len(during) == 1 and not stage.capacities(), "one piece of capacity while it ran, none after")
    line = _log(stage, f"demo/once/{arn.rsplit('/', 1)[-1]}")
    return f"{' → '.join(path)}; it said “{line}”; its host is gone"


def run_on_schedule(stage: Stage, say: Say) -> str:
    """EventBridge Scheduler: ``at()`` a few seconds from now, an ECS task as its target."""
    ecs, scheduler = stage.client("ecs"), stage.client("scheduler")
    definition = ecs.register_task_definition(
        family="tick",
        containerDefinitions=[
            {
                "name": "tick",
                "image": image_of(stage),
                "memory": 32,
                "command": ["echo", "fired"],
                "logConfiguration": LOGS,
            }
        ],
    )["taskDefinition"]["taskDefinitionArn"]
    cluster = ecs.describe_clusters()["clusters"][0]["clusterArn"]
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    scheduler.create_schedule(
        Name="soon",
        ScheduleExpression=f"at({due:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target={
            "Arn": cluster,
            "RoleArn": ROLE,
            "EcsParameters": {"TaskDefinitionArn": definition, "LaunchType": "EC2"},
            "Input": json.dumps({}),
        },
    )
    say.now(f"due at {due:%H:%M:%S} UTC")

    def fired() -> Any:
        arns = ecs.list_tasks(family="tick", desiredStatus="STOPPED")["taskArns"]
        return ecs.describe_tasks(tasks=arns)["tasks"][0] if arns else None

    task = until("the schedule has fired and its task has run", fired)
    late = (task["createdAt"] - due).total_seconds()
    until("the schedule has deleted itself", lambda: not scheduler.list_schedules()["Schedules"])
    line = _log(stage, f"demo/tick/{task['taskArn'].rsplit('/', 1)[-1]}")
    return f"due {due:%H:%M:%S} UTC, task created {late:.2f} s after that, said “{line}”; the schedule deleted itself"


def _log(stage: Stage, stream: str) -> str:
    events = stage.client("logs").get_log_events(logGroupName="/demo", logStreamName=stream, startFromHead=True)
    return " ".join(event["message"] for event in events["events"])
