"""From the request to the containers' running processes: Berth's RunTask, bare SDK calls, and Swarm.

The same engine, image and parallelism for all; the contestants take turns, round by round. The end is the engine's own
``State.StartedAt`` of the last container; the start is the clock just before the request. Until then nobody asks
anybody how it goes, which would weigh on the one and not on the other: the engine's events tell.
"""

import statistics
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime

import docker

from bench.client import Client, connect
from bench.stage import IMAGE, LABEL, Stage
from bench.table import print_table

ROUNDS = 7
FLOOR = "bare SDK calls (floor)"
PARALLEL = 24
MOST_PER_CALL = 10
MOST_SECONDS = 120
TASK_LABEL = "com.amazonaws.ecs.task-arn"
SERVICE_LABEL = "com.docker.swarm.service.id"
SLEEP = ["/bin/busybox", "sleep", "600"]


def run(stage: Stage) -> None:
    ecs = connect(stage)
    ecs.call(
        "RegisterTaskDefinition",
        family="bench",
        containerDefinitions=[{"name": "c", "image": IMAGE, "memoryReservation": 8, "command": SLEEP}],
    )
    ecs.wait_for_host()
    with Starts(stage.docker) as starts:
        contest(
            stage.docker,
            "request to running process",
            {
                FLOOR: lambda count: bare(stage.docker, count),
                "Berth, RunTask": lambda count: berth(stage, ecs, starts, count),
                "Swarm, service create": lambda count: swarm(stage.docker, starts, count),
            },
        )


def contest(client: docker.DockerClient, what: str, contestants: Mapping[str, Callable[[int], float]]) -> None:
    """Let the contestants, one of them the FLOOR, take turns with 1 container and with 24, and print how they did."""
    in_swarm = join_swarm(client)
    try:
        for count in (1, PARALLEL):
            measured: dict[str, list[float]] = {name: [] for name in contestants}
            for _ in range(ROUNDS):
                for name, contestant in contestants.items():
                    measured[name].append(contestant(count))
            report(f"{count} container(s): {what}, {ROUNDS} rounds", measured)
    finally:
        if in_swarm:
            client.swarm.leave(force=True)


def report(title: str, measured: dict[str, list[float]]) -> None:
    """Medians, and the median of the rounds' own ratios to the floor: rounds share the machine's mood."""
    rows = []
    for name, times in measured.items():
        ratios = [mine / least for mine, least in zip(times, measured[FLOOR], strict=True)]
        rows.append((name, f"{statistics.median(times) * 1000:.0f} ms", f"{statistics.median(ratios):.2f} ×"))
    print_table(title, ("", "median", "of the floor"), rows)


def bare(client: docker.DockerClient, count: int) -> float:
    began = time.time()
    with ThreadPoolExecutor(PARALLEL) as pool:
        ids = list(pool.map(lambda _: _create_and_start(client), range(count)))
    took = last_start(client, ids) - began
    remove(client, ids)
    return took


def berth(stage: Stage, ecs: Client, starts: "Starts", count: int) -> float:
    chunks = [min(MOST_PER_CALL, count - at) for at in range(0, count, MOST_PER_CALL)]
    began = time.time()
    with ThreadPoolExecutor(len(chunks)) as pool:
        answers = list(pool.map(lambda n: ecs.call("RunTask", taskDefinition="bench", count=n), chunks))
    arns = [task["taskArn"] for answer in answers for task in answer["tasks"]]
    assert len(arns) == count, [answer["failures"] for answer in answers]
    containers = starts.wait(TASK_LABEL, arns, count)
    took = last_start(stage.docker, containers) - began
    for arn in arns:
        ecs.call("StopTask", task=arn)
    # The agent stops a container politely; ours ignores that, so end it as bluntly as the others' are.
    remove(stage.docker, containers)
    ecs.wait_for_tasks(arns, "STOPPED")
    return took


def swarm(client: docker.DockerClient, starts: "Starts", count: int) -> float:
    began = time.time()
    service = client.services.create(
        IMAGE,
        command=SLEEP,
        name="berth-bench",
        mode=docker.types.ServiceMode("replicated", replicas=count),
        labels={LABEL: "1"},
    )
    containers = starts.wait(SERVICE_LABEL, [service.id], count)
    took = last_start(client, containers) - began
    service.remove()
    remove(client, containers)
    return took


class Starts:
    """Which containers the engine has said to have started, by the labels they have."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._events = client.events(decode=True, filters={"type": "container", "event": "start"})
        self._seen: list[tuple[str, dict[str, str]]] = []
        self._more = threading.Condition()

    def __enter__(self) -> "Starts":
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):
            self._events.close()

    def wait(self, label: str, values: Collection[str], count: int) -> list[str]:
        """The ids of ``count`` containers whose label has one of the values, once all have started."""
        with self._more:
            while len(found := [one for one, labels in self._seen if labels.get(label) in values]) < count:
                if not self._more.wait(MOST_SECONDS):
                    raise RuntimeError(f"{count - len(found)} containers do not start")
        return found

    def _listen(self) -> None:
        for event in self._events:
            with self._more:
                self._seen.append((event["id"], event["Actor"]["Attributes"]))
                self._more.notify_all()


def join_swarm(client: docker.DockerClient) -> bool:
    """Make the engine a swarm of one, unless it is in a swarm already; says whether to leave it later."""
    if client.info()["Swarm"]["LocalNodeState"] == "active":
        return False
    client.swarm.init(advertise_addr="127.0.0.1", listen_addr="127.0.0.1:0")
    return True


def last_start(client: docker.DockerClient, ids: list[str]) -> float:
    """When the last of the containers' processes began to run, by the engine's clock."""
    return max(_started_at(client, container) for container in ids)


def remove(client: docker.DockerClient, ids: list[str]) -> None:
    def end(container: str) -> None:
        # Another may have removed it already.
        with suppress(docker.errors.APIError):
            client.api.remove_container(container, force=True)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(end, ids))


def _create_and_start(client: docker.DockerClient) -> str:
    container: str = client.api.create_container(IMAGE, SLEEP, labels={LABEL: "1"})["Id"]
    client.api.start(container)
    return container


def _started_at(client: docker.DockerClient, container: str) -> float:
    text = client.api.inspect_container(container)["State"]["StartedAt"]
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}+00:00").timestamp()
