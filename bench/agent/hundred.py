"""An agent with 100 running containers: what it holds of memory, and of a core while nothing happens."""

import time

import psutil

from bench.client import connect
from bench.launch import SLEEP
from bench.stage import IMAGE, Stage
from bench.table import print_table
from kit.processes import find_processes

CONTAINERS = 100
MOST_PER_CALL = 10
SECONDS = 60


def run(stage: Stage) -> None:
    ecs = connect(stage)
    ecs.call(
        "RegisterTaskDefinition",
        family="bench-hundred",
        containerDefinitions=[
            {"name": "c", "image": IMAGE, "memoryReservation": 6, "cpu": 1, "command": SLEEP, "stopTimeout": 1}
        ],
    )
    ecs.wait_for_host()
    agent = psutil.Process(find_processes(["--data", str(stage.data / "agent")])[0])
    bare = agent.memory_info().rss
    arns = []
    for _ in range(CONTAINERS // MOST_PER_CALL):
        answer = ecs.call("RunTask", taskDefinition="bench-hundred", count=MOST_PER_CALL)
        assert not answer["failures"], answer["failures"]
        arns += [task["taskArn"] for task in answer["tasks"]]
        ecs.wait_for_tasks(arns, "RUNNING")
    # Until what the launches left to do is done, and through a whole number of publications.
    time.sleep(20)
    before = _cpu(agent)
    time.sleep(SECONDS)
    share = (_cpu(agent) - before) / SECONDS * 100
    rows = [
        ("resident, nothing running", f"{bare / 1e6:.0f} MB", ""),
        (f"resident, {CONTAINERS} containers", f"{agent.memory_info().rss / 1e6:.0f} MB", "≤ 60 MB"),
        (f"of one core, {CONTAINERS} containers, nothing happens", f"{share:.2f} %", "< 0.5 %"),
        ("threads", str(agent.num_threads()), ""),
    ]
    print_table(f"The agent, with {CONTAINERS} containers for {SECONDS} s", ("", "measured", "aim"), rows)
    for at in range(0, CONTAINERS, MOST_PER_CALL):
        for arn in arns[at : at + MOST_PER_CALL]:
            ecs.call("StopTask", task=arn)
        ecs.wait_for_tasks(arns[at : at + MOST_PER_CALL], "STOPPED")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
