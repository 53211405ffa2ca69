"""Scheduling delay: from the moment a task is asked for until its placement is committed, on a busy cluster.

30,000 tasks run on 1,000 hosts whose simulated agents are connected. New tasks are asked for at random moments, fifty
a second, and as many running ones end meanwhile. The delay counts from the moment that was drawn, so whoever
had to wait for the one before has waited. Beside it: the same rows committed one by one by the database's own driver.
"""

import threading
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random

from sqlalchemy import select

from bench.fleet import SimulatedFleet
from bench.scale.bare_store import measure_each
from bench.scale.flight import SPARE, loops_running, wait_until_running
from bench.scale.gauge import Gauge
from bench.scale.ground import CLUSTER, CPU, FAMILY, MEMORY, define_task
from bench.scale.plane import GIB, Plane, plane_up
from bench.table import print_table
from kit.clock import monotonic
from kit.ids import Arns
from orchestrator.agents.report_desk import ReportDesk
from scheduler.launch import Launch, launch_tasks
from state.store import Session
from state.task_definitions import TaskDefinition
from state.tasks import Task

HOSTS, RUNNING = 1_000, 30_000
LAUNCHES = 2_000
CHUNK = 5_000
RATE = 50.0
ENDS_EVERY = 0.1


def run(options: Namespace) -> None:
    """Print the table."""
    hosts = min(options.hosts or HOSTS, HOSTS)
    running = min(options.tasks or RUNNING, RUNNING)
    launches = min(LAUNCHES, running)
    with plane_up(options.store, disk=GIB) as plane, busy_cluster(plane, hosts, running, options.seed) as end_some:
        ways: dict[str, Callable[[int], None]] = {
            "launch_tasks(1) in a transaction": lambda number: launch(plane, 1, number),
            "RunTask, signed and validated, no socket": lambda _: run_task(plane),
        }
        measured = {name: sorted(arrivals(way, end_some, launches, options.seed)) for name, way in ways.items()}
        measured[f"{plane.database} alone, one after another"] = sorted(measure_each(plane.store, plane.folder, 1000))
        rows = [
            (name, *(f"{_quantile(times, share) * 1000:.1f} ms" for share in (0.5, 0.99, 1.0)))
            for name, times in measured.items()
        ]
    print_table(
        f"Asked to committed: {launches:,} launches, {RATE:.0f}/s, on {hosts:,} hosts with {running:,} tasks running",
        ("", "p50", "p99 (aim ≤ 50 ms, Swarm 400 ms)", "most"),
        rows,
    )


@contextmanager
def busy_cluster(plane: Plane, hosts: int, running: int, seed: int) -> Iterator[Callable[[], None]]:
    """The cluster, once all its tasks run; yields what has some of them end, as agents report it."""
    define_task(plane)
    per_host = -(-(running + 2 * LAUNCHES) // hosts) + SPARE
    sizes = {"cpu": per_host * CPU, "memory": per_host * MEMORY}
    fleet = SimulatedFleet(plane.parts, hosts=hosts, **sizes, cluster=CLUSTER, seed=seed, child=True)
    try:
        fleet.register()
        with loops_running(plane):
            fleet.start()
            with Gauge(plane.store, CLUSTER, wanted=running) as gauge:
                for at in range(0, running, CHUNK):
                    launch(plane, min(CHUNK, running - at), at)
                wait_until_running(plane, fleet, gauge)
            yield _ender(plane, seed)
    finally:
        fleet.stop()


def arrivals(ask: Callable[[int], None], end_some: Callable[[], None], count: int, seed: int) -> Sequence[float]:
    """Seconds from when each launch was due until it was committed."""
    stopping = threading.Event()

    def end() -> None:
        while not stopping.wait(ENDS_EVERY):
            end_some()

    ending = threading.Thread(target=end, name="ends", daemon=True)
    ending.start()
    chance = Random(seed)
    delays = []
    due = monotonic()
    pause = threading.Event()
    for number in range(count):
        due += chance.expovariate(RATE)
        if (early := due - monotonic()) > 0:
            pause.wait(early)
        ask(number)
        delays.append(monotonic() - due)
    stopping.set()
    ending.join()
    return delays


def launch(plane: Plane, count: int, seed: int) -> None:
    """Place tasks and commit them, as RunTask's handler does."""

    def write(session: Session) -> None:
        definition = session.get_one(TaskDefinition, (FAMILY, 1))
        asked = Launch(cluster=CLUSTER, task_definition=definition, launch_type="EC2", strategy=({"type": "random"},))
        parts = plane.parts
        now = parts.clock.now()
        launched = launch_tasks(session, asked, count, now=now, seed=seed, settings=parts.settings, fleets=parts.fleets)
        assert len(launched.ids) == count, launched.refused

    plane.store.transact(write)


def run_task(plane: Plane) -> None:
    """One whole request."""
    answer = plane.call("RunTask", cluster=CLUSTER, taskDefinition=FAMILY)
    assert answer["tasks"], answer["failures"]


def _ender(plane: Plane, seed: int) -> Callable[[], None]:
    """What reports the ends of as many tasks as arrive in ``ENDS_EVERY``."""
    desk = ReportDesk(plane.store, plane.parts.clock)
    arns = Arns(plane.parts.settings.account, plane.parts.settings.region)
    ids = plane.store.read(lambda session: list(session.scalars(select(Task.id).where(Task.last_status == "RUNNING"))))
    Random(seed).shuffle(ids)

    def end_some() -> None:
        chosen = [ids.pop() for _ in range(min(int(RATE * ENDS_EVERY), len(ids)))]
        desk.submit(
            [
                {
                    "cluster": arns.cluster(CLUSTER),
                    "task": arns.task(CLUSTER, task_id),
                    "status": "STOPPED",
                    "reason": "Essential container in task exited",
                    "containers": [{"containerName": "main", "status": "STOPPED", "exitCode": 0}],
                }
                for task_id in chosen
            ]
        )

    return end_some


def _quantile(times: Sequence[float], share: float) -> float:
    return times[min(int(len(times) * share), len(times) - 1)]
