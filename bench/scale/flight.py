"""One run: services whose desired counts add up to many tasks, until the last is RUNNING and its report committed.

Real are the API, every loop of the scheduler, placement, the agents' conversations, the report desk and the store,
each as ``berth up`` runs it, in this process. Simulated are the agents, in another process, and the sockets to them.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from rich.console import Console
from sqlalchemy import func, select

from bench.fleet import Behaviour, SimulatedFleet
from bench.scale.gauge import Gauge, Sample
from bench.scale.ground import CLUSTER, CPU, MEMORY, create_services, define_task, wish
from bench.scale.plane import Plane
from kit.clock import monotonic
from orchestrator.app import create_loops, start_loops, stop_loops
from state.container_instances import ContainerInstance
from state.store import Session
from state.tasks import Task

BEHAVIOUR = Behaviour(start_delay=(0.1, 1.0))
SPARE = 4
LOOK_SECONDS = 0.2
STALLED_SECONDS = 120.0


class Stalled(Exception):
    """Nothing came to run for a long time; the message says what the control plane says about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """What a run came to."""

    tasks: int
    hosts: int
    hosts_used: int
    samples: Sequence[Sample]

    @property
    def seconds(self) -> float:
        """From the first desired count until all run."""
        return self.samples[-1].at

    @property
    def processor(self) -> tuple[float, float]:
        """Seconds of processor time of the control plane and of the simulated agents."""
        first, last = self.samples[0], self.samples[-1]
        return last.processor - first.processor, last.children - first.children

    def memory_at(self, running: int) -> int | None:
        """Resident bytes of the control plane when that many tasks ran; None if never."""
        return next((sample.memory for sample in self.samples if sample.running >= running), None)


def fly(
    plane: Plane,
    *,
    tasks: int,
    hosts: int,
    seed: int,
    child: bool = True,
    watch: AbstractContextManager[object] | None = None,
    console: Console | None = None,
) -> Flight:
    """Make the ground, run, and make sure of the end; ``watch`` is entered for the run itself.

    Raises Stalled, and RuntimeError where the end is not right.
    """
    say = (console or Console(stderr=True)).print
    per_host = -(-tasks // hosts) + SPARE
    define_task(plane)
    fleet = SimulatedFleet(
        plane.parts,
        hosts=hosts,
        cpu=per_host * CPU,
        memory=per_host * MEMORY,
        cluster=CLUSTER,
        behaviour=BEHAVIOUR,
        seed=seed,
        child=child,
    )
    began = monotonic()
    try:
        fleet.register()
        services = create_services(plane, tasks)
        say(f"  {hosts:,} hosts and {len(services):,} services registered in {monotonic() - began:.0f} s")
        with loops_running(plane):
            fleet.start()
            with Gauge(plane.store, CLUSTER, wanted=tasks, console=console) as gauge, watch or nullcontext():
                wish(plane, services)
                wait_until_running(plane, fleet, gauge)
    finally:
        fleet.stop()
    return Flight(tasks=tasks, hosts=hosts, hosts_used=_check(plane, fleet, tasks), samples=tuple(gauge.samples))


@contextmanager
def loops_running(plane: Plane) -> Iterator[None]:
    """Every loop of the scheduler, as in ``berth up``."""
    loops, leases = create_loops(plane.parts, {}, alone=plane.store.embedded)
    runners = start_loops(plane.parts, loops)
    try:
        yield
    finally:
        stop_loops(runners, leases)


def wait_until_running(plane: Plane, fleet: SimulatedFleet, gauge: Gauge) -> None:
    """Until all tasks that the gauge waits for run. Raises Stalled."""
    moved_at, before = monotonic(), -1
    while not gauge.done.wait(LOOK_SECONDS):
        fleet.check()
        now = gauge.samples[-1]
        if now.running + now.launched != before:
            moved_at, before = monotonic(), now.running + now.launched
        if monotonic() - moved_at > STALLED_SECONDS:
            shown = plane.call("DescribeServices", cluster=CLUSTER, services=["worker-0000"])["services"][0]
            said = [event["message"] for event in shown["events"][:3]]
            raise Stalled(f"{now.launched:,} placed and {now.running:,} running for {STALLED_SECONDS:.0f} s; {said}")


def _check(plane: Plane, fleet: SimulatedFleet, tasks: int) -> int:
    """Count what is there by reading the tasks themselves; answers how many hosts are used."""

    def count(session: Session) -> tuple[int, int, int, int, int]:
        running = session.scalar(select(func.count()).select_from(Task).where(Task.last_status == "RUNNING"))
        every = session.scalar(select(func.count()).select_from(Task))
        used = session.scalar(select(func.count(func.distinct(Task.container_instance_id))))
        host = ContainerInstance
        taken = session.execute(
            select(
                func.sum(host.registered_cpu - host.free_cpu), func.sum(host.registered_memory - host.free_memory)
            ).where(host.cluster == CLUSTER)
        ).one()
        return running or 0, every or 0, used or 0, int(taken[0]), int(taken[1])

    running, every, used, cpu, memory = plane.store.read(count)
    found = {
        "tasks RUNNING": (running, tasks),
        "tasks in all": (every, tasks),
        "CPU units taken on hosts": (cpu, tasks * CPU),
        "MiB taken on hosts": (memory, tasks * MEMORY),
        "reports refused": (len(fleet.refused), 0),
    }
    wrong = {name: pair for name, pair in found.items() if pair[0] != pair[1]}
    if wrong:
        raise RuntimeError(f"the run ended wrongly (found, expected): {wrong}; {fleet.refused[:2]}")
    return used
