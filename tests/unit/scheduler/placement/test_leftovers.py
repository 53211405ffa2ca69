"""Best fit over CPU and memory: told by what is left over, never by a host that does not fit."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement import Fleet, Strategy, place, place_group
from scheduler.placement.leftovers import CANDIDATES, Leftovers, best_fit_scores, survey
from tests.unit.scheduler.placement.worlds import ASK, batches, clusters, host

BOTH = (Strategy(type="binpack", field="cpu+memory"),)


def chosen(hosts, **ask) -> str:
    return place(hosts, [replace(ASK, strategy=BOTH, **ask)], seed=1).placed[0].host


def scores(free: list[tuple[int, int]], asked: tuple[int, int], tasks: list[int]) -> list[float]:
    cpu, memory = (np.array([one[at] for one in free]) for at in (0, 1))
    per = np.full(len(free), 1 / 1000)
    used = np.array(tasks)
    known = survey(cpu, memory, per, per, used)
    found = best_fit_scores(known, *asked, cpu, memory, per, per, used > 0)
    return [float(one) for one in found]


def test_a_host_in_use_is_filled_before_another_is_begun() -> None:
    hosts = [host("h1"), host("h2", free_cpu=2048, free_memory=4096, tasks=1), host("h3")]
    assert chosen(hosts, cpu=1024, memory=2048) == "h2"


def test_the_host_that_is_filled_to_the_brim_is_the_best() -> None:
    hosts = [
        host("h1", free_cpu=1024, free_memory=2048, tasks=2),
        host("h2", free_cpu=1024, free_memory=6000, tasks=2),
        host("h3", free_cpu=3000, free_memory=2048, tasks=2),
    ]
    assert chosen(hosts, cpu=1024, memory=2048) == "h1"


def test_leftovers_that_many_hosts_have_already_are_not_made_more() -> None:
    crowd = [(300, 700)] * 40
    first, second = scores([*crowd, (500, 900), (800, 600)], (200, 200), [2] * 42)[-2:]
    assert second < first


def test_with_many_small_tasks_a_host_the_tightest_fit_decides() -> None:
    found = scores([(500, 500), (300, 310), (300, 700)], (100, 100), [9, 9, 9])
    assert min(found) == found[1]


def test_a_group_and_a_queue_begin_no_host_while_one_in_use_fits() -> None:
    hosts = [host(f"h{number:02}", free_cpu=1000, free_memory=3000, tasks=2) for number in range(40)]
    hosts += [host(f"i{number}") for number in range(5)]
    plan = place_group(Fleet(hosts), replace(ASK, cpu=900, memory=500, strategy=BOTH), 40, seed=1)
    assert all(on.host.startswith("h") for on in plan.on)
    assert chosen(hosts, cpu=900, memory=500, queued=True).startswith("h")


@given(hosts=clusters, asks=batches, seed=st.integers(0, 3))
@settings(max_examples=60)
def test_the_order_of_the_hosts_and_the_hour_change_nothing(hosts, asks, seed) -> None:
    wanted = [replace(one, strategy=BOTH) for one in asks]
    plan = place(hosts, wanted, seed=seed)
    assert plan == place(list(reversed(hosts)), wanted, seed=seed)


numbers = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 5)), min_size=3, max_size=3)


@given(days=st.lists(numbers, min_size=1, max_size=4))
@settings(max_examples=60)
def test_a_map_that_is_kept_up_to_date_is_the_one_drawn_anew(days) -> None:
    per = np.full(3, 1 / 1000)
    kept = Leftovers()
    for day in days:
        cpu, memory, tasks = (np.array(column, dtype=np.int64) for column in zip(*day, strict=True))
        kept.update(cpu, memory, per, per, tasks)
        fresh = survey(cpu, memory, per, per, tasks)
        assert (kept.counts == fresh.counts).all()
        assert kept.say == fresh.say


def test_of_very_many_hosts_those_with_the_tightest_fit_are_looked_at() -> None:
    free = [(200 + number % 700, 210 + number % 700) for number in range(CANDIDATES * 3)]
    found = scores([*free, (1000, 1000), (1000, 1000)], (200, 200), [2] * len(free) + [0, 0])
    assert sum(score < float("inf") for score in found) < CANDIDATES * 1.1
    assert found[-1] == found[-2] < float("inf")
