"""From the request to the containers' ended processes: Berth's StopTask, the bare SDK's stop, and Swarm.

The process ends at its SIGTERM at once, so that what is measured is the way to it. The end is the engine's own event of
the last container; the start is the clock just before the request.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import docker

from bench.client import Client, connect
from bench.launch import FLOOR, MOST_PER_CALL, PARALLEL, contest, remove
from bench.stage import IMAGE, LABEL, Stage

GRACE_S = 10
HEEDS = ["/bin/busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do /bin/busybox sleep 600 & wait $!; done"]


def run(stage: Stage) -> None:
    ecs = connect(stage)
    ecs.call(
        "RegisterTaskDefinition",
        family="bench-stop",
        containerDefinitions=[
            {"name": "c", "image": IMAGE, "memoryReservation": 8, "command": HEEDS, "stopTimeout": GRACE_S}
        ],
    )
    ecs.wait_for_host()
    contest(
        stage.docker,
        "request to ended process",
        {
            FLOOR: lambda count: bare(stage.docker, count),
            "Berth, StopTask": lambda count: berth(stage, ecs, count),
            "Swarm, service remove": lambda count: swarm(stage.docker, count),
        },
    )


def bare(client: docker.DockerClient, count: int) -> float:
    def begin(_: int) -> str:
        container: str = client.api.create_container(IMAGE, HEEDS, labels={LABEL: "1"})["Id"]
        client.api.start(container)
        return container

    with ThreadPoolExecutor(PARALLEL) as pool:
        ids = list(pool.map(begin, range(count)))
        settle(client, ids)
        with ends_of(client, ids) as ended:
            began = time.time()
            list(pool.map(lambda container: client.api.stop(container, timeout=GRACE_S), ids))
        took = ended() - began
    remove(client, ids)
    return took


def berth(stage: Stage, ecs: Client, count: int) -> float:
    chunks = [min(MOST_PER_CALL, count - at) for at in range(0, count, MOST_PER_CALL)]
    answers = [ecs.call("RunTask", taskDefinition="bench-stop", count=chunk) for chunk in chunks]
    arns = [task["taskArn"] for answer in answers for task in answer["tasks"]]
    assert len(arns) == count, [answer["failures"] for answer in answers]
    tasks = ecs.wait_for_tasks(arns, "RUNNING")
    ids = [task["containers"][0]["runtimeId"] for task in tasks]
    settle(stage.docker, ids)
    with ends_of(stage.docker, ids) as ended, ThreadPoolExecutor(PARALLEL) as pool:
        began = time.time()
        list(pool.map(lambda arn: ecs.call("StopTask", task=arn), arns))
        took = ended() - began
    ecs.wait_for_tasks(arns, "STOPPED")
    return took


def swarm(client: docker.DockerClient, count: int) -> float:
    service = client.services.create(
        IMAGE,
        command=HEEDS,
        name="berth-bench-stop",
        mode=docker.types.ServiceMode("replicated", replicas=count),
        stop_grace_period=GRACE_S * 10**9,
        labels={LABEL: "1"},
    )
    ids = swarm_containers(client, service, count)
    settle(client, ids)
    with ends_of(client, ids) as ended:
        began = time.time()
        service.remove()
        took = ended() - began
    remove(client, ids)
    return took


def swarm_containers(client: docker.DockerClient, service: Any, count: int) -> list[str]:
    while True:
        tasks = service.tasks(filters={"desired-state": "running"})
        running = [task for task in tasks if task["Status"]["State"] == "running"]
        if len(running) == count:
            return [task["Status"]["ContainerStatus"]["ContainerID"] for task in running]
        time.sleep(0.05)


def settle(client: docker.DockerClient, ids: Iterable[str]) -> None:
    """Until the shells have set their traps; nothing tells of that but time."""
    time.sleep(0.5)


@contextmanager
def ends_of(client: docker.DockerClient, ids: list[str]) -> Iterator[Callable[[], float]]:
    """Answers when the last of the containers has ended, by the engine's clock: from its events, since they may go."""
    waiting: set[str] = set(ids)
    seen: dict[str, float] = {}
    all_ended = threading.Event()
    events = client.events(decode=True, filters={"type": "container", "event": "die"})

    def listen() -> None:
        for event in events:
            if event["id"] in waiting:
                seen[event["id"]] = event["timeNano"] / 1e9
                if len(seen) == len(waiting):
                    all_ended.set()
                    return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()

    def ended() -> float:
        if not all_ended.wait(60):
            raise RuntimeError(f"{len(waiting) - len(seen)} containers do not end")
        return max(seen.values())

    try:
        yield ended
    finally:
        with suppress(Exception):
            events.close()
