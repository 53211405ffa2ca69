"""A host is lost: how long until what it ran runs elsewhere, and how long two copies run side by side once it is back.

Two hosts with an engine and an agent each, on cables to a switch (``tests/support/site.py``; needs root), and a Berth
with its default settings. The cable of the host that has all tasks is pulled, at any moment between two of the control
plane's questions; when they run on the other host it is put back, and the next round pulls the other one's.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from bench.stage import Stage
from bench.table import print_table
from tests.support import faults
from tests.support.berth import TASK_LABEL, until
from tests.support.engine import connect
from tests.support.hosts import Host
from tests.support.site import Site, running_site

ROUNDS = 12
TASKS = 4
MOST_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One round, in seconds: from the cut on, and from when the cable is back."""

    away: float
    given_up: float
    placed: float
    replaced: float
    overlap: float
    back: float


def run(stage: Stage, *, rounds: int = ROUNDS) -> None:
    """``stage`` has a single host and looks on."""
    losses = []
    with running_site(connect(), hosts=2) as site:
        faults.register(site.berth, "lost", site.image, "sleep", "6000")
        here, there = site.hosts
        drain(site, there, "DRAINING")
        site.ecs.create_service(serviceName="lost", taskDefinition="lost", desiredCount=TASKS)
        until("the tasks run", lambda: running_on(site, site.hosts[0]), seconds=MOST_SECONDS)
        drain(site, there, "ACTIVE")
        for _ in range(rounds):
            time.sleep(random.uniform(3, 6))
            losses.append(lose(site, here, there))
            here, there = there, here
            print(f"  {losses[-1]}", flush=True)
    measured: dict[str, tuple[list[float], str]] = {
        "cut to shown as away": ([loss.away for loss in losses], ""),
        "cut to its tasks given up": ([loss.given_up for loss in losses], ""),
        "cut to all of them placed elsewhere": ([loss.placed for loss in losses], ""),
        f"cut to all {TASKS} tasks RUNNING elsewhere": ([loss.replaced for loss in losses], "≤ 15 s"),
        "first replacement's start to last stale copy's end": ([loss.overlap for loss in losses], ""),
        "cable back to no stale copy left": ([loss.back for loss in losses], ""),
    }
    rows = [(name, at(0.5, times), at(0.99, times), at(1, times), aim) for name, (times, aim) in measured.items()]
    print_table(f"A host lost and back, {rounds} rounds", ("", "p50", "p99", "most", "aim of the p99"), rows)


def lose(site: Site, here: Host, there: Host) -> Loss:
    """Pull the cable of the host that has all tasks until they run on the other one."""
    tasks = running_on(site, here)
    began = time.time()
    here.cut()
    until("the host is away", lambda: not site.is_connected(here), seconds=MOST_SECONDS)
    away = time.time() - began
    after = until("the tasks run elsewhere", lambda: running_on(site, there), seconds=MOST_SECONDS)
    replaced = time.time() - began
    guessed = ends(site, tasks)
    mended = time.time()
    here.mend()
    until("the stale copies have ended", lambda: not here.containers_of(TASK_LABEL), seconds=MOST_SECONDS)
    back = time.time() - mended
    told = until("they are told of", lambda: told_apart(site, tasks, guessed), seconds=MOST_SECONDS)
    overlap = max(told.values()) - min(task["startedAt"].timestamp() for task in after)
    placed = max(task["createdAt"].timestamp() for task in after) - began
    given_up = max(guessed.values()) - began
    return Loss(away=away, given_up=given_up, placed=placed, replaced=replaced, overlap=overlap, back=back)


def drain(site: Site, host: Host, status: str) -> None:
    site.ecs.update_container_instances_state(containerInstances=[host.instance], status=status)


def running_on(site: Site, host: Host) -> list[dict[str, Any]]:
    """All tasks of the service once they run, and on that host alone."""
    arns = site.ecs.list_tasks(serviceName="lost")["taskArns"]
    tasks = faults.describe(site.berth, arns)
    well = [task for task in tasks if task["lastStatus"] == "RUNNING" and site.host_of(task) is host]
    return tasks if len(well) == len(tasks) == TASKS else []


def ends(site: Site, tasks: Sequence[dict[str, Any]]) -> dict[str, float]:
    """When the copies ended: guessed by the control plane when it gave the host up, and later told by the agent."""
    found = faults.describe(site.berth, [task["taskArn"] for task in tasks])
    return {task["taskArn"]: task["executionStoppedAt"].timestamp() for task in found}


def told_apart(site: Site, tasks: Sequence[dict[str, Any]], guessed: dict[str, float]) -> dict[str, float]:
    told = ends(site, tasks)
    return told if all(told[arn] != guessed[arn] for arn in guessed) else {}


def at(share: float, times: Sequence[float]) -> str:
    """The nearest rank."""
    ranked = sorted(times)
    return f"{ranked[max(0, ceil(share * len(ranked)) - 1)]:.1f} s"
