"""Two million tasks on 6,100 simulated hosts: from the services' desired counts to RUNNING, all of it durable.

Printed are the rates, the control plane's memory, and the floor: what the database alone needs for the same rows
(``bare_store``). Nomad's runs are quoted as published; they had three and five large servers, and real hosts.
"""

from argparse import Namespace
from pathlib import Path

from bench.scale.bare_store import measure_bulk
from bench.scale.flight import BEHAVIOUR, Flight, fly
from bench.scale.gauge import rate_between
from bench.scale.plane import GIB, Plane, plane_up
from bench.scale.profile import Profile
from bench.table import print_table

TASKS, HOSTS = 2_000_000, 6_100
DISK_PER_TASK = 3_000
# The floor writes some of the rows once more.
DISK_BESIDES = GIB
RESULTS = Path(__file__).resolve().parents[2] / "bench" / "results"


def run(options: Namespace) -> None:
    """Fly, and print what it came to; the outcome stays in ``options.flight`` for ``memory``."""
    tasks = TASKS if options.tasks is None else options.tasks
    hosts = HOSTS if options.hosts is None else options.hosts
    with plane_up(options.store, disk=tasks * DISK_PER_TASK + DISK_BESIDES) as plane:
        describe(plane, tasks, hosts)
        profile = Profile() if options.profile else None
        flight = fly(plane, tasks=tasks, hosts=hosts, seed=options.seed, watch=profile)
        options.flight = flight
        report(plane, flight, measure_bulk(plane.store, plane.folder))
        if profile is not None:
            profile.report(tasks)
        chart(plane, flight, options.chart)


def describe(plane: Plane, tasks: int, hosts: int) -> None:
    """Say what is about to run and what of it is simulated."""
    low, high = BEHAVIOUR.start_delay
    print(
        f"\n{tasks:,} tasks on {hosts:,} hosts, {plane.database}. Real, in one process: the API, the scheduler's "
        "loops, placement, the agents' conversations, reports, the store.\n"
        f"Simulated, in another process: the agents, which take {low:g} to {high:g} s to start a task; their frames go "
        "through a pipe instead of sockets.",
        flush=True,
    )


def report(plane: Plane, flight: Flight, bare: float) -> None:
    """Print the table."""
    percent = flight.tasks // 100
    rate = flight.tasks / flight.seconds
    first = rate_between(flight.samples, 0, percent)
    last = rate_between(flight.samples, flight.tasks - percent, flight.tasks)
    million = flight.memory_at(1_000_000)
    size = plane.size()
    ours, agents = (f"{seconds / flight.tasks * 1e6:.0f} µs" for seconds in flight.processor)
    rows = [
        ("from the first desired count to the last RUNNING", _minutes(flight.seconds), "Nomad C2M: 22 min 14 s"),
        ("tasks a second, in all", f"{rate:,.0f}", "Nomad C1M: 3,750, C2M: 1,500"),
        ("the first 1 %", f"{first:,.0f}/s" if first else "-", ""),
        ("the last 1 %", f"{last:,.0f}/s" if last else "-", ""),
        (f"{plane.database} alone, same rows, one thread", f"{bare:,.0f}/s", f"Berth: {rate / bare:.2f} of it"),
        ("processor time per task", ours, f"simulated agents: {agents}"),
        ("the database on disk", f"{size / flight.tasks:,.0f} B per task", f"{size / GIB:.2f} GiB"),
        ("hosts used", f"{flight.hosts_used:,}", f"of {flight.hosts:,}"),
        ("control plane's memory with 1,000,000 running", _mib(million), "≤ 2 GB"),
        ("control plane's memory, most", _mib(max(sample.memory for sample in flight.samples)), ""),
    ]
    print_table(f"{flight.tasks:,} tasks, every placement and report committed", ("", "", "beside it"), rows)


def chart(plane: Plane, flight: Flight, path: Path | None) -> None:
    """Draw rate over time; says where."""
    from bench.scale.chart import draw

    name = "postgresql" if not plane.store.embedded else "sqlite"
    path = path or RESULTS / f"fleet-{name}-{flight.tasks}.png"
    draw(
        flight.samples,
        f"{flight.tasks:,} tasks on {flight.hosts:,} simulated hosts in {_minutes(flight.seconds)}, {plane.database}",
        path,
    )
    print(f"\nchart: {path}")


def _minutes(seconds: float) -> str:
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s" if seconds >= 60 else f"{seconds:.1f} s"


def _mib(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:,.0f} MiB"
