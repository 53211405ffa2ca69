"""Requests per second with 1,000 tasks in the store, every one signed, beside a bare FastAPI answer of the same size.

The floor is a FastAPI endpoint in a process of its own that sends the same bytes from memory: no signature, no store.
RunTask really places and commits, on a registered host whose agent is not there to start anything.
"""

import asyncio
import json
import multiprocessing
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import uvicorn
from fastapi import FastAPI, Response

from bench.client import Client, connect
from bench.stage import IMAGE, Stage, free_port
from bench.table import print_table
from kit.clock import SystemClock, monotonic
from kit.settings import Settings
from scheduler.launch import Launch, launch_tasks
from state.container_instances import ContainerInstance
from state.store import Session, Store
from state.task_definitions import TaskDefinition

TASKS = 1000
THREADS = 8
SECONDS = 4.0
CLUSTER = "bench"
PLENTY = 10_000_000


def run(stage: Stage) -> None:
    ecs = connect(stage)
    arns = fill(stage, ecs)
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        "DescribeTasks, 100 tasks": ("DescribeTasks", {"cluster": CLUSTER, "tasks": arns[:100]}),
        "DescribeTasks, 1 task": ("DescribeTasks", {"cluster": CLUSTER, "tasks": arns[:1]}),
        "ListTasks, 100 tasks": ("ListTasks", {"cluster": CLUSTER}),
        "RunTask, placed and committed": ("RunTask", {"cluster": CLUSTER, "taskDefinition": "small"}),
    }
    rows = []
    for name, (operation, request) in requests.items():
        payload = json.dumps(request).encode()
        answer = ecs.send(operation, payload)[1]
        rate, p99 = measure(stage, lambda client, o=operation, p=payload: client.send(o, p))  # type: ignore[misc]
        least = measure_floor(stage, answer, payload)
        rows.append(
            (
                name,
                f"{len(answer):,} B",
                f"{rate:.0f}/s",
                f"{p99 * 1000:.1f} ms",
                f"{least:.0f}/s",
                f"{rate / least:.2f} ×",
            )
        )
    print_table(
        f"API, {TASKS} tasks in the store, {THREADS} clients, {SECONDS:.0f} s each",
        ("", "answer", "signed requests", "p99", "bare FastAPI", "of the floor"),
        rows,
    )


def fill(stage: Stage, ecs: Client) -> list[str]:
    """A host with plenty of room, and 1,000 tasks placed on it through the scheduler's own launch."""
    ecs.call("CreateCluster", clusterName=CLUSTER)
    container = {"name": "c", "image": IMAGE, "memory": 64, "environment": [{"name": "A", "value": "b"}]}
    registered = ecs.call("RegisterTaskDefinition", family="small", containerDefinitions=[container])
    attributes = registered["taskDefinition"].get("requiresAttributes", [])
    sizes = [{"name": name, "type": "INTEGER", "integerValue": PLENTY} for name in ("CPU", "MEMORY")]
    host = ecs.call("RegisterContainerInstance", cluster=CLUSTER, totalResources=sizes, attributes=attributes)[
        "containerInstance"
    ]
    store, now = Store(f"sqlite:///{stage.data / 'berth.db'}"), SystemClock().now()

    def write(session: Session) -> list[str]:
        instance = session.get_one(ContainerInstance, host["containerInstanceArn"].rsplit("/", 1)[-1])
        instance.agent_connected, instance.seen_at = True, now + timedelta(days=1)
        session.flush()
        definition = session.get_one(TaskDefinition, ("small", 1))
        launch = Launch(cluster=CLUSTER, task_definition=definition, launch_type="EC2")
        return launch_tasks(session, launch, TASKS, now=now, seed=1, settings=Settings()).ids

    arns = [f"arn:aws:ecs:us-east-1:123456789012:task/{CLUSTER}/{task_id}" for task_id in store.transact(write)]
    store.close()
    return arns


def measure(stage: Stage, send: Callable[[Client], tuple[int, bytes]]) -> tuple[float, float]:
    """``(requests a second, p99 in seconds)`` from THREADS clients in a process of their own."""
    answers: Any = multiprocessing.get_context("fork").Queue()
    process = multiprocessing.get_context("fork").Process(
        target=_load, args=(replace(stage, docker=None), send, answers)
    )
    process.start()
    times = sorted(answers.get())
    process.join()
    return len(times) / SECONDS, times[int(len(times) * 0.99)]


def measure_floor(stage: Stage, answer: bytes, payload: bytes) -> float:
    """Requests a second of a FastAPI endpoint that sends ``answer`` from memory."""
    port = free_port()
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(answer, port), daemon=True)
    server.start()
    floor = replace(stage, endpoint=f"http://127.0.0.1:{port}")
    try:
        _wait(floor)
        headers = {"Content-Type": "application/x-amz-json-1.1"}
        return measure(floor, lambda client: client.raw("POST", "/", payload, headers))[0]
    finally:
        server.terminate()
        server.join()


def _load(stage: Stage, send: Callable[[Client], tuple[int, bytes]], answers: Any) -> None:
    client = Client(stage)
    times: list[float] = []
    until = monotonic() + SECONDS

    def work() -> None:
        while (began := monotonic()) < until:
            status, body = send(client)
            if status != 200:
                raise RuntimeError(f"{status}: {body[:200]!r}")
            times.append(monotonic() - began)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.put(times)


def _serve(answer: bytes, port: int) -> None:
    app = FastAPI()

    @app.post("/")
    def same() -> Response:
        return Response(answer, media_type="application/x-amz-json-1.1")

    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", access_log=False)
    asyncio.run(uvicorn.Server(config).serve())


def _wait(floor: Stage) -> None:
    while True:
        try:
            Client(floor).raw("POST", "/", b"{}", {})
            return
        except OSError:
            time.sleep(0.05)
