"""A fleet that is updated in place decides as one that is made anew."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement import Fleet, Host, RequiredAttribute, Strategy, parse, place, place_group
from scheduler.placement import members as members_module
from scheduler.placement.membership import members_of
from tests.unit.scheduler.placement.worlds import (
    ASK,
    EXPRESSIONS,
    HOSTS,
    ZONE,
    asks,
    calm_batches,
    clusters,
    host,
    roomy_hosts,
    small_asks,
    towns,
)

seeds = st.integers(0, 2**32)


@st.composite
def histories(draw):
    """What befalls a fleet: hosts put and dropped, and a few kinds of asks placed again and again."""
    kinds = draw(st.lists(small_asks, min_size=1, max_size=3))
    step = st.one_of(
        st.tuples(st.just("put"), roomy_hosts),
        st.tuples(st.just("drop"), st.sampled_from(HOSTS)),
        st.tuples(st.just("place"), st.sampled_from(kinds)),
        st.tuples(st.just("place"), st.sampled_from(kinds)),
        st.tuples(st.just("group"), st.sampled_from(kinds), st.integers(2, 9)),
    )
    return draw(towns), draw(st.lists(step, min_size=3, max_size=14))


@settings(max_examples=120)
@given(history=histories(), seed=seeds)
def test_a_fleet_with_a_history_decides_as_one_made_of_its_hosts(history, seed) -> None:
    hosts, steps = history
    fleet = Fleet(hosts)
    for step in steps:
        fresh = Fleet(fleet.host(name) for name in fleet.ids())
        match step:
            case "put", given_host:
                fleet.put(given_host)
                assert fleet.host(given_host.id) == given_host
            case "drop", name:
                fleet.drop(name)
                assert name not in fleet
            case "place", ask:
                ours, theirs = (place(one, [ask], seed=seed) for one in (fleet, fresh))
                assert ours.placed == theirs.placed
                assert [reasons(one) for one in ours.refused] == [reasons(one) for one in theirs.refused]
                assert everything(fleet) == everything(fresh)
            case "group", ask, count:
                mine, other = (place_group(one, ask, count, seed=seed) for one in (fleet, fresh))
                assert {on.host: on for on in mine.on} == {on.host: on for on in other.on}
                assert mine.missing == other.missing
                assert everything(fleet) == everything(fresh)


def everything(fleet: Fleet) -> dict[str, Host]:
    return {name: fleet.host(name) for name in fleet.ids()}


def reasons(refused) -> list[str]:
    """Its reasons without the one of several equally near hosts that is named."""
    return sorted(replace(reason, closest="").text() for reason in refused.reasons)


@settings(max_examples=100)
@given(hosts=clusters, before=calm_batches, after=calm_batches, seed=seeds)
def test_putting_what_a_host_says_of_itself_changes_nothing(hosts, before, after, seed) -> None:
    left, right = Fleet(hosts), Fleet(hosts)
    for fleet in (left, right):
        place(fleet, before, seed=seed)
    for name in right.ids():
        right.put(right.host(name))
    assert place(left, after, seed=seed) == place(right, after, seed=seed)


@settings(max_examples=80)
@given(hosts=towns, expression=st.sampled_from(EXPRESSIONS), change=roomy_hosts)
def test_an_expression_of_all_hosts_at_once_says_what_it_says_of_each(hosts, expression, change) -> None:
    query = parse(expression)
    fleet = Fleet(hosts)
    for _ in range(2):
        mask = members_of(fleet, query.tree)
        known = {fleet.id_at(slot) for slot in mask.nonzero()[0] if fleet.columns.used[slot]}
        assert known == {name for name in fleet.ids() if query.matches(fleet.host(name))}
        fleet.put(replace(change, id=hosts[0].id))


def test_hosts_come_and_go() -> None:
    fleet = Fleet([host("h1")])
    assert "h1" in fleet and len(fleet) == 1
    for number in range(2, 40):
        fleet.put(host(f"h{number}"))
    fleet.drop("h1")
    fleet.drop("h1")
    fleet.drop("never")
    assert len(fleet) == 38 and "h1" not in fleet
    with pytest.raises(KeyError):
        fleet.host("h1")
    plan = place(fleet, asks(38, strategy=(Strategy(type="spread", field="instanceId"),)), seed=1)
    assert {placed.host for placed in plan.placed} == {f"h{number}" for number in range(2, 40)}


def test_a_host_stands_as_what_was_taken_left_it() -> None:
    fleet = Fleet([host("h1", gpus=("a", "b"), registered_gpus=2, resources={"disk": 9}, free_addresses=4)])
    ask = replace(ASK, gpus=1, resources=(("disk", 2),), address=True, ports=((80, "tcp"),))
    place(fleet, [ask], seed=1)
    assert fleet.host("h1") == host(
        "h1",
        registered_gpus=2,
        free_cpu=4096 - 256,
        free_memory=8192 - 512,
        gpus=("b",),
        resources={"disk": 7},
        free_addresses=3,
        ports=frozenset({(80, "tcp")}),
        tasks=1,
        groups={ASK.group: 1},
    )


def test_a_changed_attribute_is_seen_by_requirements_and_spreads() -> None:
    fleet = Fleet([host("h1"), host("h2", attributes={ZONE: "b"}, groups={ASK.group: 1})])
    needs = replace(ASK, attributes=(RequiredAttribute(name="disk", value="ssd"),))
    over_zones = replace(ASK, strategy=(Strategy(type="spread", field=f"attribute:{ZONE}"),))
    assert place(fleet, [needs], seed=1).refused
    assert place(fleet, [over_zones], seed=1).placed[0].host == "h1"
    fleet.put(host("h1", attributes={ZONE: "b", "disk": "ssd"}))
    fleet.put(host("h3", attributes={ZONE: "c"}))
    assert place(fleet, [needs], seed=1).placed[0].host == "h1"
    assert place(fleet, [over_zones], seed=1).placed[0].host == "h3"


def test_what_a_host_is_put_again_without_is_gone() -> None:
    taken = host("h1", ports=frozenset({(80, "tcp")}), resources={"disk": 5}, gpus=("a",), registered_gpus=1)
    fleet = Fleet([taken])
    wants_port, wants_disk, wants_gpu = (
        replace(ASK, ports=((80, "tcp"),)),
        replace(ASK, resources=(("disk", 1),)),
        replace(ASK, gpus=1),
    )
    assert place(fleet, [wants_port], seed=1).refused
    assert place(fleet, [wants_disk], seed=1).placed and place(fleet, [wants_gpu], seed=1).placed
    fleet.put(host("h1", registered_gpus=1))
    assert place(fleet, [wants_port], seed=1).placed
    assert place(fleet, [wants_disk], seed=1).refused[0].failures()[0]["reason"] == "RESOURCE:disk"
    assert place(fleet, [wants_gpu], seed=1).refused[0].failures()[0]["reason"] == "RESOURCE:GPU"


def test_tasks_that_come_and_go_elsewhere_count_for_spread() -> None:
    fleet = Fleet([host("a1"), host("b1", attributes={ZONE: "b"})])
    ask = replace(ASK, strategy=(Strategy(type="spread", field=f"attribute:{ZONE}"),))
    place(fleet, [ask, replace(ask, id="t2")], seed=1)
    for name, zone in (("a1", "a"), ("b1", "b")):
        full = {ASK.group: 9}
        fleet.put(host(name, attributes={ZONE: zone}, groups=full, tasks=9))
        assert place(fleet, [ask], seed=1).placed[0].host != name
        fleet.put(host(name, attributes={ZONE: zone}))
    assert place(fleet, [ask], seed=1).placed[0].host == "b1"


def test_ties_see_what_was_taken_from_a_host() -> None:
    fleet = Fleet([host("h1"), host("h2")])
    spread = (Strategy(type="spread", field="instanceId"),)
    first = place(fleet, [replace(ASK, cpu=2000, memory=8, group="one", strategy=spread)], seed=1).placed[0].host
    memory_alone = replace(ASK, cpu=8, memory=3000, group="two", strategy=spread)
    assert place(fleet, [memory_alone], seed=1).placed[0].host == first


@contextmanager
def at_most(columns: int) -> Iterator[None]:
    before = members_module.MOST_COLUMNS
    members_module.MOST_COLUMNS = columns
    try:
        yield
    finally:
        members_module.MOST_COLUMNS = before


def test_columns_of_groups_that_were_let_go_come_back_as_they_were() -> None:
    with at_most(2):
        fleet = Fleet([host("h1"), host("h2")])
        spread = (Strategy(type="spread", field="instanceId"),)
        for _ in range(2):
            for number in range(5):
                place(fleet, asks(1, group=f"g{number}", strategy=spread), seed=1)
        assert all(fleet.host(name).groups == {f"g{number}": 1 for number in range(5)} for name in ("h1", "h2"))
