"""A group is shared out as it would be, had its tasks come one by one."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement import Ask, Constraint, Fleet, Strategy, place, place_group
from scheduler.placement.draft import Draft
from tests.unit.scheduler.placement.worlds import ASK, ZONE, clusters, host, small_asks, some_asks, towns

OVER_HOSTS = Strategy(type="spread", field="instanceId")
OVER_ZONES = Strategy(type="spread", field=f"attribute:{ZONE}")
ON_MEMORY = Strategy(type="binpack", field="memory")
ON_BOTH = Strategy(type="binpack", field="cpu+memory")
seeds = st.integers(0, 2**32)


def grouped(hosts, ask: Ask, count: int, seed: int = 1) -> Counter:
    return Counter({on.host: on.count for on in place_group(Fleet(hosts), ask, count, seed=seed).on})


def one_by_one(hosts, ask: Ask, count: int, seed: int = 1) -> Counter:
    fleet = Fleet(hosts)
    plans = [place(fleet, [ask], seed=seed) for _ in range(count)]
    return Counter(placed.host for plan in plans for placed in plan.placed)


def with_group(hosts, placed: Counter, group: str) -> Counter:
    return Counter({one.id: one.groups.get(group, 0) + placed[one.id] for one in hosts})


@settings(max_examples=80)
@given(hosts=clusters, ask=some_asks, count=st.integers(1, 25), seed=seeds)
def test_as_many_find_a_host_in_a_group_as_one_by_one(hosts, ask, count, seed) -> None:
    if any("task" in (rule.expression or "") for rule in ask.constraints):
        # Where a task is put decides what the expression says next; both ways go one by one here.
        ask = replace(ask, constraints=())
    assert grouped(hosts, ask, count, seed).total() == one_by_one(hosts, ask, count, seed).total()


@settings(max_examples=80)
@given(hosts=towns, ask=small_asks, count=st.integers(1, 25), seed=seeds)
def test_spread_reaches_the_same_levels_in_a_group_as_one_by_one(hosts, ask, count, seed) -> None:
    ask = replace(ask, strategy=(OVER_HOSTS,), constraints=())
    groups = [way(hosts, ask, count, seed) for way in (grouped, one_by_one)]
    levels = [sorted(with_group(hosts, placed, ask.group).values()) for placed in groups]
    assert levels[0] == levels[1]


@settings(max_examples=80)
@given(hosts=towns, ask=small_asks, count=st.integers(1, 25), seed=seeds)
def test_zones_reach_the_same_levels_in_a_group_as_one_by_one(hosts, ask, count, seed) -> None:
    ask = replace(ask, strategy=(OVER_ZONES, OVER_HOSTS), constraints=())
    zones = {one.id: one.attributes.get(ZONE) for one in hosts}
    levels = []
    for way in (grouped, one_by_one):
        tally: Counter = Counter()
        for name, got in way(hosts, ask, count, seed).items():
            tally[zones[name]] += got
        for one in hosts:
            if one.status == "ACTIVE":
                tally[one.attributes.get(ZONE)] += one.groups.get(ask.group, 0)
        levels.append(sorted(tally.values()))
    assert levels[0] == levels[1]


@pytest.mark.parametrize("chain", [(ON_MEMORY,), (OVER_ZONES, ON_MEMORY), (ON_MEMORY, OVER_ZONES)])
@given(sizes=st.lists(st.integers(200, 4000), min_size=1, max_size=8, unique=True), count=st.integers(1, 30))
@settings(max_examples=40)
def test_binpack_fills_the_same_hosts_in_a_group_as_one_by_one(chain, sizes, count) -> None:
    hosts = [
        host(f"h{number}", free_memory=size, free_cpu=size, attributes={ZONE: "ab"[number % 2]})
        for number, size in enumerate(sizes)
    ]
    ask = replace(ASK, cpu=100, memory=200, strategy=chain)
    assert grouped(hosts, ask, count) == one_by_one(hosts, ask, count)


@given(sizes=st.lists(st.integers(200, 4000), min_size=1, max_size=8, unique=True), count=st.integers(1, 30))
@settings(max_examples=40)
def test_best_fit_over_both_places_as_many_in_a_group_as_one_by_one(sizes, count) -> None:
    hosts = [host(f"h{number}", free_memory=size, free_cpu=size) for number, size in enumerate(sizes)]
    ask = replace(ASK, cpu=100, memory=200, strategy=(ON_BOTH,))
    assert sum(grouped(hosts, ask, count).values()) == sum(one_by_one(hosts, ask, count).values())


def test_a_host_that_is_filled_stays_the_one_until_it_is_full() -> None:
    hosts = [host("h1", free_memory=2048), host("h2"), host("h3", free_memory=1100)]
    plan = place_group(Fleet(hosts), replace(ASK, strategy=(ON_MEMORY,)), 8, seed=1)
    assert [(on.host, on.count) for on in plan.on] == [("h3", 2), ("h1", 4), ("h2", 2)]


def test_a_group_that_finds_too_little_room_says_how_many_and_why() -> None:
    plan = place_group(Fleet([host("h1", free_memory=1300)]), ASK, 10, seed=1)
    assert (plan.count, plan.missing) == (2, 8)
    assert plan.refused.ask == ASK.id
    assert plan.refused.text() == "memory: 512 MiB asked, 276 free on h1 (1 host)"


def test_each_task_of_a_group_gets_devices_of_its_own() -> None:
    hosts = [host("h1", gpus=("a", "b", "c"), registered_gpus=4), host("h2", gpus=("d",), registered_gpus=1)]
    plan = place_group(Fleet(hosts), replace(ASK, gpus=2, strategy=(OVER_HOSTS,)), 3, seed=1)
    (on,) = plan.on
    assert (on.host, on.count, on.gpus) == ("h1", 1, (("a", "b"),))
    assert plan.refused.text() == "GPUs: 2 asked, 1 free on h1 (2 hosts)"


def test_tasks_without_gpus_leave_hosts_with_gpus_alone_where_the_strategy_does_not_mind() -> None:
    hosts = [host(f"g{number}", gpus=("a",), registered_gpus=1) for number in range(3)] + [host("plain")]
    assert set(grouped(hosts, replace(ASK, strategy=(ON_MEMORY,)), 4)) == {"plain"}


def test_distinct_instances_of_a_group_take_a_host_each() -> None:
    ask = replace(ASK, constraints=(Constraint(type="distinctInstance"),))
    hosts = [host(f"h{number}") for number in range(5)] + [host("own", groups={ASK.group: 1})]
    assert grouped(hosts, ask, 9) == Counter({f"h{number}": 1 for number in range(5)})


def test_ties_go_where_the_least_capacity_is_stranded() -> None:
    hosts = [host("balanced"), host("much-cpu", free_memory=1024), host("much-memory", free_cpu=512)]
    for ask, best in ((replace(ASK, cpu=400, memory=8), "much-cpu"), (replace(ASK, cpu=8, memory=800), "much-memory")):
        assert one_by_one(hosts, replace(ask, strategy=(OVER_HOSTS,)), 1) == {best: 1}
        assert grouped(hosts, replace(ask, strategy=(OVER_HOSTS,)), 1) == {best: 1}


def test_ties_of_ties_go_to_the_host_with_the_fewest_tasks() -> None:
    hosts = [host(f"h{number}", tasks=9) for number in range(6)] + [host("idle", tasks=1)]
    ask = replace(ASK, strategy=(ON_MEMORY,))
    assert one_by_one(hosts, ask, 1) == grouped(hosts, ask, 1) == {"idle": 1}


def test_best_fit_leaves_a_host_as_soon_as_another_fits_better(monkeypatch) -> None:
    """Whatever a score says of a host as it fills: this one prefers rests of CPU that three tasks divide."""
    hosts = [host(f"h{number}", free_cpu=101 * number) for number in range(4, 12)]

    def score(free: int) -> float:
        return free // 100 % 3 + free / 1e6

    def misfits(draft, slots, steps=0):
        return np.vectorize(score, otypes=[float])(draft.left(slots, "cpu") - steps * 100)

    monkeypatch.setattr(Draft, "misfits", misfits)
    free = {one.id: one.free_cpu for one in hosts}
    expected: Counter = Counter()
    ask = replace(ASK, cpu=100, memory=1, strategy=(ON_BOTH,))
    for count in range(1, 30):
        best = min((name for name in free if free[name] >= 100), key=lambda name: score(free[name]))
        free[best] -= 100
        expected[best] += 1
        assert grouped(hosts, ask, count) == expected


def test_no_tasks_are_no_trouble() -> None:
    for count in (0, -1):
        plan = place_group(Fleet([host("h1")]), ASK, count, seed=1)
        assert (plan.on, plan.refused, plan.missing) == ((), None, 0)
