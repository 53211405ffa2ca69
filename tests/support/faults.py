"""Faults for a Berth under test: its processes killed and started again, and what its tasks look like meanwhile."""

import json
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import ClientError

from kit.processes import FolderLock, find_processes, is_process
from tests.support.berth import TASK_LABEL, RunningBerth, make_client, until

# A container's first process hears no signal that it has not asked for: an init does, and ends what it has begun.
ENDS_WHEN_TOLD: dict[str, Any] = {"stopTimeout": 2, "linuxParameters": {"initProcessEnabled": True}}

# A client that hears of every failure at once.
ONCE: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "connect_timeout": 5, "read_timeout": 30}


def once(berth: RunningBerth, service: str) -> Any:
    """A client that never repeats a call by itself."""
    return make_client(service, berth.environment, **ONCE)


def control_plane(berth: RunningBerth) -> int:
    """The pid of the control plane."""
    return int(json.loads((berth.data / "berth.json").read_text())["pid"])


def local_agent(berth: RunningBerth) -> int:
    """The pid of the agent that came up with the control plane."""
    (pid,) = until("one agent lives", lambda: find_processes(["--data", str(berth.data / "agent")]))
    return pid


def kill(pid: int) -> None:
    """SIGKILL, and wait until the process is gone."""
    os.kill(pid, signal.SIGKILL)
    until(f"process {pid} is gone", lambda: not is_process(pid, []))


@contextmanager
def agent_away(berth: RunningBerth) -> Iterator[None]:
    """The local agent is killed, and whoever is started in its place finds its directory locked, until the end."""
    kill(local_agent(berth))
    lock = FolderLock(berth.data / "agent" / "lock")
    try:
        until("the host is shown as away", lambda: "away" in berth.berth("status"))
        yield
    finally:
        lock.release()


def up_again(berth: RunningBerth) -> None:
    """``berth up --detach`` on the same directory and ports."""
    berth.berth("up", "--detach", *ports(berth))


def ports(berth: RunningBerth) -> tuple[str, ...]:
    api = berth.environment["AWS_ENDPOINT_URL"].rpartition(":")[2]
    return ("--port", api, "--registry-port", berth.registry.rpartition(":")[2])


def register(berth: RunningBerth, family: str, image: str, *command: str, **members: Any) -> str:
    """A task definition of one small container, which ends when it is told to; answers its family."""
    container = {"name": "main", "image": image, "memory": 16, "command": [*command], **ENDS_WHEN_TOLD, **members}
    berth.client("ecs").register_task_definition(family=family, containerDefinitions=[container])
    return family


def describe(berth: RunningBerth, tasks: Iterable[str], cluster: str = "default") -> list[dict[str, Any]]:
    """The tasks as ECS describes them; fails the test when one is not known."""
    arns = [*tasks]
    found = []
    for start in range(0, len(arns), 100):
        answer = berth.client("ecs").describe_tasks(cluster=cluster, tasks=arns[start : start + 100])
        assert answer["failures"] == []
        found += answer["tasks"]
    return found


def all_at(berth: RunningBerth, status: str, tasks: Iterable[str], *, seconds: float = 90) -> list[dict[str, Any]]:
    """Wait until every task has the status, and answer them."""
    arns = [*tasks]

    def look() -> list[dict[str, Any]]:
        found = describe(berth, arns)
        return found if all(task["lastStatus"] == status for task in found) else []

    return until(f"{len(arns)} tasks are {status}", look, seconds=seconds) if arns else []


def run_one(berth: RunningBerth, family: str, **members: Any) -> str:
    """Run one task and answer its ARN."""
    answer = berth.client("ecs").run_task(taskDefinition=family, **members)
    assert answer["failures"] == []
    arn: str = answer["tasks"][0]["taskArn"]
    return arn


def stopped(berth: RunningBerth, family: str, **members: Any) -> dict[str, Any]:
    """Run one task and wait for its end."""
    (task,) = all_at(berth, "STOPPED", [run_one(berth, family, **members)])
    return task


def runtime_ids(tasks: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The engine's id of the first container of each task."""
    return {task["taskArn"]: task["containers"][0]["runtimeId"] for task in tasks}


def on_engine(berth: RunningBerth, task: str) -> list[str]:
    """The ids of all containers named ``main`` that were made for a task, dead ones too."""
    found = berth.engine.containers(f"{TASK_LABEL}={task}")
    return [str(one.id) for one in found if one.labels.get("com.amazonaws.ecs.container-name") == "main"]


def tasks_of(berth: RunningBerth, **selection: Any) -> list[str]:
    """The ARNs of tasks, running and stopped."""
    pages = berth.client("ecs").get_paginator("list_tasks")
    statuses = ("RUNNING", "STOPPED")
    return [
        arn
        for status in statuses
        for page in pages.paginate(desiredStatus=status, **selection)
        for arn in page["taskArns"]
    ]


def stop_all(berth: RunningBerth) -> None:
    """Delete every service and stop every task, so that the next test finds an idle host."""
    ecs = berth.client("ecs")
    for arn in ecs.list_services()["serviceArns"]:
        ecs.delete_service(service=arn, force=True)
    for arn in ecs.list_tasks()["taskArns"]:
        with suppress(ClientError):
            ecs.stop_task(task=arn)
    until("no task is left", lambda: not unended(berth), seconds=120)


def unended(berth: RunningBerth) -> list[str]:
    """The tasks of the default cluster that have not stopped, whatever is wished of them."""
    ecs = berth.client("ecs")
    arns = [arn for status in ("RUNNING", "STOPPED") for arn in ecs.list_tasks(desiredStatus=status)["taskArns"]]
    tasks = [task for at in range(0, len(arns), 100) for task in ecs.describe_tasks(tasks=arns[at : at + 100])["tasks"]]
    return [task["taskArn"] for task in tasks if task["lastStatus"] != "STOPPED"]
