"""The placement engine alone: a fleet of hosts, asks, plans; no store and no clock.

Groups of 1,000 identical asks are decided in one step each; then asks of which no two are alike, one by one. The
floor in the same run is the bare NumPy arithmetic (``floors``). kube-scheduler's own performance gates are quoted as
published (test/integration/scheduler_perf, 5,000 nodes); they run on other machines and cover a binding as well.
"""

import gc
import statistics
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from bench.scale import floors, workload
from bench.table import print_table
from kit.clock import monotonic
from scheduler.placement import Ask, Fleet, Host, Placed, place, place_group

GROUP = 1000
GROUPS = 200
GROUP_HOSTS = 6_100
HOSTS = 5_000
ASKS = 4_000
ROUNDS = 5
T = TypeVar("T")
Make = Callable[[int, int], Iterator[Ask]]
DIFFERENT: dict[str, tuple[Make, str, str]] = {
    "binpack + memberOf": (workload.binpack_members, "≥ 20,000", "810 basic, 220 affinity"),
    "distinctInstance": (workload.distinct_instances, "≥ 10,000", "60 anti-affinity"),
    "spread over zones, hosts": (workload.spreads, "≥ 10,000", "810 basic"),
}


def run(options: Namespace) -> None:
    """Print both tables."""
    rows = [_groups()]
    print_table(
        f"Engine alone, {GROUPS} groups of {GROUP:,} identical asks on {GROUP_HOSTS:,} hosts, median of {ROUNDS}",
        ("", "placements/s", "aim", "bare NumPy", "of the floor"),
        rows,
    )
    hosts = workload.make_hosts(HOSTS)
    print_table(
        f"Engine alone, {ASKS:,} asks of which no two are alike on {HOSTS:,} hosts, median of {ROUNDS}",
        ("", "placements/s", "aim", "bare NumPy", "of the floor", "kube-scheduler's gates, pods/s"),
        [_different(name, hosts, list(make(ASKS, 7)), aim, gates) for name, (make, aim, gates) in DIFFERENT.items()],
    )


def _groups() -> tuple[str, ...]:
    hosts = workload.make_hosts(GROUP_HOSTS)
    asks = workload.make_groups(GROUPS, 7)

    def ours(fleet: Fleet) -> int:
        return sum(
            sum(on.count for on in place_group(fleet, ask, GROUP, seed=number).on) for number, ask in enumerate(asks)
        )

    total = GROUPS * GROUP
    rate = _rate(lambda: Fleet(hosts), ours, total)
    least = _rate(lambda: hosts, lambda given: floors.place_groups_bare(given, asks, GROUP), total)
    return ("binpack on memory", f"{rate:,.0f}", "≥ 1,000,000", f"{least:,.0f}", f"{rate / least:.2f} ×")


def _different(name: str, hosts: Sequence[Host], asks: Sequence[Ask], aim: str, gates: str) -> tuple[str, ...]:
    def ours(fleet: Fleet) -> int:
        return sum(isinstance(result, Placed) for result in place(fleet, asks, seed=7).results)

    rate = _rate(lambda: Fleet(hosts), ours, len(asks))
    least = _rate(lambda: hosts, lambda given: floors.place_each_bare(given, asks), len(asks))
    return (name, f"{rate:,.0f}", aim, f"{least:,.0f}", f"{rate / least:.2f} ×", gates)


def _rate(make: Callable[[], T], work: Callable[[T], int], total: int) -> float:
    """Placements a second, median over rounds; what ``make`` does is not counted. Everything must find a place."""
    times = []
    for _ in range(ROUNDS):
        given = make()
        gc.collect()
        began = monotonic()
        placed = work(given)
        times.append(monotonic() - began)
        if placed != total:
            raise RuntimeError(f"{placed} of {total} asks were placed")
    return total / statistics.median(times)
