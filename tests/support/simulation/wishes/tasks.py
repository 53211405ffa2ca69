"""Wishes about tasks: run them on shared hosts or on Fargate, stop them."""

from typing import Any

from kit.ids import last_part
from tests.support.simulation.user import ENDLESS, PROGRAMS, User

SIZES: dict[str, dict[str, Any]] = {
    "small": {"cpu": 128, "memory": 128},
    "large": {"cpu": 512, "memory": 700},
    "port": {"cpu": 64, "memory": 64, "portMappings": [{"containerPort": 80, "hostPort": 8080}]},
    "range": {"cpu": 64, "memory": 64, "portMappings": [{"containerPortRange": "80-89"}]},
    "gpu": {"cpu": 64, "memory": 64, "resourceRequirements": [{"type": "GPU", "value": "1"}]},
    "licence": {
        "cpu": 64,
        "memory": 64,
        "resourceRequirements": [{"type": "InferenceAccelerator", "value": "device_1"}],
    },
}
MORE: dict[str, dict[str, Any]] = {
    "licence": {"inferenceAccelerators": [{"deviceName": "device_1", "deviceType": "licence"}]}
}
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


def prepare(user: User) -> None:
    """Register the task definitions that every other wish knows by name: ``<size>-<image>``."""
    for image in PROGRAMS:
        for size, members in SIZES.items():
            container = {"name": "main", "image": image, **members}
            more = MORE.get(size, {})
            family = f"{size}-{image}"
            user.call("ecs", "RegisterTaskDefinition", family=family, containerDefinitions=[container], **more)
        user.call(
            "ecs",
            "RegisterTaskDefinition",
            family=f"fargate-{image}",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": "main", "image": image}],
        )
    user.call(
        "ecs",
        "RegisterTaskDefinition",
        family="small-pair",
        networkMode="awsvpc",
        containerDefinitions=[
            {"name": "first", "image": "soon", "memory": 64, "essential": False},
            {
                "name": "main",
                "image": "later",
                "memory": 64,
                "dependsOn": [{"containerName": "first", "condition": "SUCCESS"}],
            },
        ],
    )


def run_tasks(user: User) -> None:
    """Some tasks, wherever there is room for them."""
    request: dict[str, Any] = {}
    if user.chance.random() < 0.15:
        definition = "small-pair"
        request["networkConfiguration"] = NETWORK
    else:
        definition = f"{user.chance.choice(sorted(SIZES))}-{user.chance.choice(sorted(PROGRAMS))}"
    if user.chance.random() < 0.2:
        request["placementConstraints"] = [{"type": "distinctInstance"}]
    if user.chance.random() < 0.3:
        strategies = [{"type": "binpack", "field": "memory"}, {"type": "spread", "field": "instanceId"}]
        request["placementStrategy"] = [user.chance.choice(strategies)]
    _run(user, definition, user.chance.choice((1, 1, 2, 3)), request)


def run_fargate(user: User) -> None:
    """A task on capacity of its own."""
    definition = f"fargate-{user.chance.choice(sorted(PROGRAMS))}"
    _run(user, definition, user.chance.choice((1, 1, 2)), {"launchType": "FARGATE", "networkConfiguration": NETWORK})


def stop_task(user: User) -> None:
    """One of the tasks that the user knows of."""
    known = sorted(user.ledger.tasks - user.ledger.stopped)
    if known:
        stop(user, user.chance.choice(known))


def stop(user: User, task: str) -> None:
    answer = user.call("ecs", "StopTask", task=task, reason="enough")
    user.note(f"user: StopTask {task[-6:]}, which was {answer['task']['lastStatus']}")
    user.ledger.stopped.add(task)


def tidy(user: User) -> None:
    """Stop every task that would not end by itself, known to the user or not."""
    for image in ENDLESS:
        for size in (*SIZES, "fargate"):
            listed = user.call("ecs", "ListTasks", family=f"{size}-{image}")["taskArns"]
            for start in range(0, len(listed), 100):
                shown = user.call("ecs", "DescribeTasks", tasks=listed[start : start + 100])["tasks"]
                for task in shown:
                    if not task["group"].startswith("service:"):
                        stop(user, last_part(task["taskArn"]))


def _run(user: User, definition: str, count: int, request: dict[str, Any]) -> None:
    token = user.token()
    user.ledger.launched[token] = count
    answer = user.call(
        "ecs", "RunTask", taskDefinition=definition, count=count, clientToken=token, startedBy=token, **request
    )
    tasks = [last_part(task["taskArn"]) for task in answer["tasks"]]
    user.note(f"user: RunTask {definition} × {count}: {[task[-6:] for task in tasks]}")
    user.ledger.tasks.update(tasks)
