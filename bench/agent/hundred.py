"""An agent with 100 running containers: what it holds of memory, and of a core while nothing happens."""

import time
from typing import Any

import psutil

from bench.client import REGION, Client, connect
from bench.launch import SLEEP
from bench.stage import IMAGE, Stage
from bench.table import print_table
from kit.processes import find_processes

CONTAINERS = 100
MOST_PER_CALL = 10
SECONDS = 60


def run(stage: Stage) -> None:
    ecs = connect(stage)
    plain: dict[str, Any] = {"name": "c", "image": IMAGE, "memoryReservation": 6, "cpu": 1, "command": SLEEP}
    plain["stopTimeout"] = 1
    ecs.call("RegisterTaskDefinition", family="bench-hundred", containerDefinitions=[plain])
    options = {
        "awslogs-group": "/bench",
        "awslogs-region": REGION,
        "awslogs-create-group": "true",
        "awslogs-stream-prefix": "hundred",
    }
    logged = {**plain, "logConfiguration": {"logDriver": "awslogs", "options": options}}
    ecs.call("RegisterTaskDefinition", family="bench-hundred-logged", containerDefinitions=[logged])
    ecs.wait_for_host()
    agent = psutil.Process(find_processes(["--data", str(stage.data / "agent")])[0])
    rows = [("nothing runs", *_seen(agent))]
    for family, name in (("bench-hundred", "without logs"), ("bench-hundred-logged", "with awslogs")):
        arns = _launched(ecs, family)
        # Until what the launches left to do is done, and then through a whole number of publications.
        time.sleep(20)
        rows.append((f"{CONTAINERS} containers {name}", *_seen(agent)))
        _stopped(ecs, arns)
    print_table(
        f"The agent, for {SECONDS} s in which nothing happens",
        ("", "resident (≤ 60 MB)", "of one core (< 0.5 %)", "threads"),
        rows,
    )


def _seen(agent: psutil.Process) -> tuple[str, str, str]:
    before = _cpu(agent)
    time.sleep(SECONDS)
    share = (_cpu(agent) - before) / SECONDS * 100
    return f"{agent.memory_info().rss / 1e6:.0f} MB", f"{share:.2f} %", str(agent.num_threads())


def _launched(ecs: Client, family: str) -> list[str]:
    arns: list[str] = []
    for _ in range(CONTAINERS // MOST_PER_CALL):
        answer = ecs.call("RunTask", taskDefinition=family, count=MOST_PER_CALL)
        assert not answer["failures"], answer["failures"]
        arns += [task["taskArn"] for task in answer["tasks"]]
        ecs.wait_for_tasks(arns, "RUNNING")
    return arns


def _stopped(ecs: Client, arns: list[str]) -> None:
    for at in range(0, CONTAINERS, MOST_PER_CALL):
        for arn in arns[at : at + MOST_PER_CALL]:
            ecs.call("StopTask", task=arn)
        ecs.wait_for_tasks(arns[at : at + MOST_PER_CALL], "STOPPED")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
