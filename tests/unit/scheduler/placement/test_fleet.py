"""A fleet that is updated in place decides as one that is made anew."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement import Fleet, Placed, RequiredAttribute, Strategy, parse, place, place_group
from scheduler.placement import members as members_module
from scheduler.placement.membership import members_of
from tests.unit.scheduler.placement.worlds import (
    ASK,
    EXPRESSIONS,
    ZONE,
    asks,
    calm_batches,
    clusters,
    host,
    some_asks,
    some_hosts,
    without_chance,
)

seeds = st.integers(0, 2**32)
names = st.sampled_from(["a", "b", "c", "d"])
changes = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.builds(lambda one, name: replace(one, id=name), some_hosts, names)),
        st.tuples(st.just("drop"), names),
        st.tuples(st.just("place"), some_asks.map(without_chance)),
        st.tuples(st.just("group"), some_asks.map(without_chance)),
    ),
    max_size=20,
)


def apply(fleet: Fleet, change, seed: int) -> None:
    match change:
        case "put", given_host:
            fleet.put(given_host)
        case "drop", name:
            fleet.drop(name)
        case "place", ask:
            place(fleet, [ask], seed=seed)
        case "group", ask:
            place_group(fleet, ask, 3, seed=seed)


@settings(max_examples=80)
@given(history=changes, after=calm_batches, seed=seeds)
def test_a_fleet_with_a_history_decides_as_one_made_of_its_hosts(history, after, seed) -> None:
    fleet = Fleet()
    for change in history:
        apply(fleet, change, seed)
    fresh = Fleet(fleet.host(name) for name in fleet.ids())
    assert sorted(fleet.ids()) == sorted(fresh.ids())
    for ask in after:
        ours, theirs = (place(one, [ask], seed=seed).results[0] for one in (fleet, fresh))
        if isinstance(ours, Placed) or isinstance(theirs, Placed):
            assert ours == theirs
        else:
            assert sorted(reason.text() for reason in without_names(ours)) == sorted(
                reason.text() for reason in without_names(theirs)
            )
    assert {name: fleet.host(name) for name in fleet.ids()} == {name: fresh.host(name) for name in fresh.ids()}


def without_names(refused) -> Iterator:
    """Its reasons without the one of several equally near hosts that is named."""
    return (replace(reason, closest="") for reason in refused.reasons)


@settings(max_examples=100)
@given(hosts=clusters, before=calm_batches, after=calm_batches, seed=seeds)
def test_putting_what_a_host_says_of_itself_changes_nothing(hosts, before, after, seed) -> None:
    left, right = Fleet(hosts), Fleet(hosts)
    for fleet in (left, right):
        place(fleet, before, seed=seed)
    for name in right.ids():
        right.put(right.host(name))
    assert place(left, after, seed=seed) == place(right, after, seed=seed)


@settings(max_examples=60)
@given(hosts=clusters, expression=st.sampled_from(EXPRESSIONS), change=some_hosts)
def test_an_expression_of_all_hosts_at_once_says_what_it_says_of_each(hosts, expression, change) -> None:
    query = parse(expression)
    fleet = Fleet(hosts)
    for _ in range(2):
        mask = members_of(fleet, query.tree)
        known = {fleet.id_at(slot) for slot in mask.nonzero()[0] if fleet.columns.used[slot]}
        assert known == {name for name in fleet.ids() if query.matches(fleet.host(name))}
        fleet.put(replace(change, id=hosts[0].id) if hosts else change)


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
