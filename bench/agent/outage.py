"""The agent is killed, and then the control plane is away for long, while real containers run and some of them end.

None may be restarted or orphaned, and every exit code must be known to ECS's API in the end, told in the order in which
the containers ended. What is found otherwise is named, and fails the run.
"""

import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

import psutil

from bench.client import Client, connect
from bench.stage import IMAGE, Stage, kill_plane, start_again
from bench.table import print_table
from kit.processes import find_processes

CONTAINERS, SECONDS = 100, 600
KILLS = 2
MOST_SECONDS = 120
# Parts of the containers: those of a service, pairs, and those that end in each trouble.
PART = 10
SENDERS = 4
# Ends with the code it was given when it is told to, and at no other time.
WAITS = ["/bin/busybox", "sh", "-c", 'trap "exit $CODE" TERM; while :; do /bin/busybox sleep 600 & wait $!; done']
CODES = count(1)


@dataclass(slots=True, kw_only=True)
class Copy:
    """One container, and what the engine says of it. ``ended_at`` is the engine's own time of its end."""

    task: str
    name: str
    id: str
    code: int
    started_at: str
    ended_at: float | None = None


@dataclass(slots=True)
class Outage:
    """What runs, by task, and everything that was found to be wrong."""

    stage: Stage
    ecs: Client
    copies: dict[str, list[Copy]] = field(default_factory=dict)
    served: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def alive(self) -> list[Copy]:
        return [copy for copies in self.copies.values() for copy in copies if copy.ended_at is None]

    def single(self) -> list[Copy]:
        """Living containers that are a task by themselves, and nobody's to replace."""
        return [copy for copy in self.alive() if copy.task not in self.served and len(self.copies[copy.task]) == 1]


def run(stage: Stage, *, containers: int = CONTAINERS, seconds: int = SECONDS) -> None:
    """Raises RuntimeError when something was lost, repeated or told wrongly."""
    part = max(1, containers // PART)
    ecs = connect(stage)
    outage = Outage(stage, ecs)
    main: dict[str, Any] = {"name": "main", "image": IMAGE, "memoryReservation": 6, "cpu": 1, "command": WAITS}
    side = {**main, "name": "side", "essential": False}
    ecs.call("RegisterTaskDefinition", family="bench-single", containerDefinitions=[main])
    ecs.call("RegisterTaskDefinition", family="bench-pair", containerDefinitions=[main, side])
    ecs.wait_for_host()
    serve(outage, part)
    launch(outage, "bench-pair", part)
    launch(outage, "bench-single", containers - 3 * part)
    say(f"{len(outage.alive())} containers run")
    rows = [("containers when the agent is killed", str(len(outage.alive())), "")]
    memory = agent_memory(stage)
    for number in range(1, KILLS + 1):
        ending = outage.single()[:part]
        took = kill_agent(outage, ending)
        rows.append((f"agent's death {number}: {len(ending)} ended, the last known after", f"{took:.1f} s", ""))
        check(outage)
    launch(outage, "bench-single", containers - len(outage.alive()))
    rows += [
        ("agent's memory before it was killed", memory, "≤ 60 MB"),
        ("agent's memory afterwards", agent_memory(stage), "≤ 60 MB"),
        ("containers when the control plane is killed", str(len(outage.alive())), ""),
        *away(outage, part, seconds),
    ]
    check(outage)
    rows += [
        ("containers that live on", str(len(outage.alive())), ""),
        ("lost, repeated or told wrongly", str(len(outage.wrong)), "0"),
    ]
    print_table(f"{containers} containers, {seconds} s without control plane", ("", "measured", "aim"), rows)
    if outage.wrong:
        raise RuntimeError("outage:\n  " + "\n  ".join(outage.wrong))


def serve(outage: Outage, size: int) -> None:
    """A service, whose tasks would be replaced if their host were given up."""
    outage.ecs.call("CreateService", serviceName="bench", taskDefinition="bench-single", desiredCount=size)
    until("the service runs", lambda: len(running_of_service(outage)) == size)
    take_up(outage, sorted(running_of_service(outage)), [])
    outage.served = set(outage.copies)


def launch(outage: Outage, family: str, size: int) -> None:
    names = ["main", "side"] if family == "bench-pair" else ["main"]
    codes = [[next(CODES) % 120 + 1 for _ in names] for _ in range(size)]

    def one(own: Sequence[int]) -> str:
        told = [
            {"name": name, "environment": [{"name": "CODE", "value": str(code)}]}
            for name, code in zip(names, own, strict=True)
        ]
        answer = outage.ecs.call("RunTask", taskDefinition=family, overrides={"containerOverrides": told})
        assert not answer["failures"], answer["failures"]
        return str(answer["tasks"][0]["taskArn"])

    with ThreadPoolExecutor(4) as pool:
        arns = list(pool.map(one, codes))
    take_up(outage, arns, codes)


def take_up(outage: Outage, arns: Sequence[str], codes: Sequence[Sequence[int]]) -> None:
    """Remember the containers of tasks once they run."""
    until(f"{len(arns)} tasks run", lambda: all(task["lastStatus"] == "RUNNING" for task in describe(outage, arns)))
    given = dict(zip(arns, codes, strict=False))
    for task in describe(outage, arns):
        outage.copies[task["taskArn"]] = [
            Copy(
                task=task["taskArn"],
                name=container["name"],
                id=container["runtimeId"],
                code=code,
                started_at=state_of(outage, container["runtimeId"])["StartedAt"],
            )
            for container, code in zip(by_name(task), given.get(task["taskArn"], [0, 0]), strict=False)
        ]


def kill_agent(outage: Outage, ending: Sequence[Copy]) -> float:
    """Containers end that the agent does not see; answers how long after its death the last was known to ECS."""
    (agent,) = find_processes(["--data", str(outage.stage.data / "agent")])
    os.kill(agent, signal.SIGSTOP)
    for copy in ending[::2]:
        end(outage, copy)
    os.kill(agent, signal.SIGKILL)
    killed = time.monotonic()
    for copy in ending[1::2]:
        end(outage, copy)
    until("the agent's tasks are told of", lambda: not untold(outage))
    say(f"the agent was killed, {len(ending)} containers ended meanwhile")
    return time.monotonic() - killed


def away(outage: Outage, part: int, seconds: int) -> list[tuple[str, str, str]]:
    """The control plane is killed and started again; in between containers end, evenly over the whole time."""
    pairs = [copies for copies in outage.copies.values() if len(copies) == 2]
    firsts = [side for _, side in pairs]
    ending = [*firsts, *outage.single()[: 3 * part], *(main for main, _ in pairs)]
    (agent,) = find_processes(["--data", str(outage.stage.data / "agent")])
    before = cpu_seconds(agent)
    kill_plane(outage.stage)
    began = time.monotonic()
    for number, copy in enumerate(ending):
        # The first at once, the last with the return.
        time.sleep(max(0.0, began + seconds * number / max(1, len(ending) - 1) - time.monotonic()))
        end(outage, copy)
        if number % part == 0:
            memory = agent_memory(outage.stage)
            say(f"{time.monotonic() - began:.0f} s away, {number + 1} containers ended, the agent holds {memory}")
    gone, memory = time.monotonic() - began, agent_memory(outage.stage)
    share = (cpu_seconds(agent) - before) / gone * 100
    start_again(outage.stage)
    # The connection that was kept is no more.
    outage.ecs = connect(outage.stage)
    back = time.monotonic()
    until("all that ended is told of", lambda: not untold(outage))
    took = time.monotonic() - back
    say(f"the control plane was away for {gone:.0f} s and heard of everything {took:.1f} s after its return")
    ended = [(max(copy.ended_at or 0 for copy in copies), arn) for arn, copies in outage.copies.items()]
    in_order = [arn for at, arn in sorted(ended) if arn in {copy.task for copy in ending}]
    told = sorted(describe(outage, in_order), key=lambda task: task["stoppedAt"])
    places = [abs(place - in_order.index(task["taskArn"])) for place, task in enumerate(told)]
    if max(places) > 2 * SENDERS:
        outage.wrong.append(f"a task was told of {max(places)} places away from its turn")
    return [
        ("containers that ended meanwhile", str(len(ending)), ""),
        ("tasks of which the end was told after the return", str(len(told)), str(len(in_order))),
        ("the last one after", f"{took:.1f} s", ""),
        ("furthest from its turn", f"{max(places)} places", f"≤ {2 * SENDERS}"),
        ("agent's memory before the return", memory, "≤ 60 MB"),
        ("agent's memory after it", agent_memory(outage.stage), "≤ 60 MB"),
        ("of one core, agent without control plane", f"{share:.2f} %", ""),
    ]


def end(outage: Outage, copy: Copy) -> None:
    """Have a container end with its code, and note when it did."""
    outage.stage.docker.api.kill(copy.id, signal.SIGTERM)
    outage.stage.docker.api.wait(copy.id, timeout=MOST_SECONDS)
    state = state_of(outage, copy.id)
    assert state["ExitCode"] == copy.code, state
    copy.ended_at = instant(state["FinishedAt"])


def check(outage: Outage) -> None:
    """Compare everything that ECS and the engine say with what was done."""
    for task in describe(outage, [*outage.copies]):
        copies = outage.copies[task["taskArn"]]
        main = copies[0]
        wanted = "RUNNING" if main.ended_at is None else "STOPPED"
        if task["lastStatus"] != wanted:
            outage.wrong.append(f"{task['taskArn']} is {task['lastStatus']} and not {wanted}")
        if main.ended_at is not None:
            if task.get("stopCode") != "EssentialContainerExited":
                outage.wrong.append(f"{task['taskArn']} was stopped: {task.get('stopCode')}")
            if abs(task.get("executionStoppedAt", 0) - main.ended_at) > 1:
                outage.wrong.append(f"{task['taskArn']} ended at {main.ended_at}: {task.get('executionStoppedAt')}")
        for copy, container in zip(copies, by_name(task), strict=True):
            seen = (container["runtimeId"], container.get("exitCode"))
            if seen != (copy.id, None if copy.ended_at is None else copy.code):
                outage.wrong.append(f"{copy} is told of as {seen}")
    for copy in outage.alive():
        state = state_of(outage, copy.id)
        if not state["Running"] or state["StartedAt"] != copy.started_at:
            outage.wrong.append(f"{copy} was restarted or is gone: {state}")
    running = {found["Id"] for found in outage.stage.docker.api.containers(filters={"ancestor": IMAGE})}
    outage.wrong += [f"{found} runs and is nobody's" for found in running - {copy.id for copy in outage.alive()}]
    if running_of_service(outage) != outage.served:
        outage.wrong.append("the service has other tasks than before")
    if len(outage.ecs.call("ListContainerInstances")["containerInstanceArns"]) != 1:
        outage.wrong.append("the host has registered again")


def untold(outage: Outage) -> list[str]:
    """The tasks whose main container has ended, and which ECS does not show as stopped."""
    arns = [arn for arn, copies in outage.copies.items() if copies[0].ended_at is not None]
    return [task["taskArn"] for task in describe(outage, arns) if task["lastStatus"] != "STOPPED"]


def describe(outage: Outage, arns: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for at in range(0, len(arns), 100):
        answer = outage.ecs.call("DescribeTasks", tasks=list(arns[at : at + 100]))
        assert not answer["failures"], answer["failures"]
        found += answer["tasks"]
    return found


def running_of_service(outage: Outage) -> set[str]:
    arns = outage.ecs.call("ListTasks", serviceName="bench")["taskArns"]
    return {task["taskArn"] for task in describe(outage, arns) if task["lastStatus"] == "RUNNING"}


def by_name(task: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(task["containers"], key=lambda container: str(container["name"]))


def state_of(outage: Outage, container: str) -> dict[str, Any]:
    state: dict[str, Any] = outage.stage.docker.api.inspect_container(container)["State"]
    return state


def instant(text: str) -> float:
    """The engine's nanoseconds as far as they go into microseconds."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6].ljust(6, '0')}+00:00").timestamp()


def until(what: str, look: Any) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise RuntimeError(f"outage: waited {MOST_SECONDS} s in vain until {what}")
        time.sleep(0.2)


def agent_memory(stage: Stage) -> str:
    (agent,) = find_processes(["--data", str(stage.data / "agent")])
    return f"{psutil.Process(agent).memory_info().rss / 1e6:.0f} MB"


def cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def say(what: str) -> None:
    print(f"outage: {what}", flush=True)
