"""Hosts that have the image settle ties, and no strategy yields to them."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement import Ask, Fleet, Strategy, place, place_group
from scheduler.placement.images import MOST_IMAGES
from tests.unit.scheduler.placement.worlds import ASK, ZONE, host, links, small_asks, towns

OVER_HOSTS = Strategy(type="spread", field="instanceId")
OVER_ZONES = Strategy(type="spread", field=f"attribute:{ZONE}")
ON_MEMORY = Strategy(type="binpack", field="memory")
ON_CPU = Strategy(type="binpack", field="cpu")
WANTS = replace(ASK, image="web:1")
seeds = st.integers(0, 2**32)
some = st.sets(st.sampled_from(("a", "b", "c", "d", "e", "f")))
plain_links = links.filter(lambda link: link.type != "random" and link.field != "cpu+memory")


def fleet_of(hosts, having) -> Fleet:
    fleet = Fleet(hosts)
    fleet.tell_image("web:1", having)
    return fleet


def grouped(hosts, having, ask: Ask, count: int, seed: int = 1) -> Counter:
    return Counter({on.host: on.count for on in place_group(fleet_of(hosts, having), ask, count, seed=seed).on})


def one_by_one(hosts, having, ask: Ask, count: int, seed: int = 1) -> Counter:
    fleet = fleet_of(hosts, having)
    plans = [place(fleet, [ask], seed=seed) for _ in range(count)]
    return Counter(placed.host for plan in plans for placed in plan.placed)


def liked(fleet: Fleet, name: str, ask: Ask) -> list[int]:
    """What each link of the ask's strategy says of the host; the least is liked best."""
    said = []
    one = fleet.host(name)
    for link in ask.strategy or (OVER_ZONES, OVER_HOSTS):
        match link.type, link.field:
            case "binpack", "cpu":
                said.append(one.free_cpu)
            case "binpack", "memory":
                said.append(one.free_memory)
            case "spread", "instanceId":
                said.append(one.groups.get(ask.group, 0))
            case _:
                others = (fleet.host(other) for other in fleet.ids())
                same = (
                    o for o in others if o.status == "ACTIVE" and o.attributes.get(ZONE) == one.attributes.get(ZONE)
                )
                said.append(sum(o.groups.get(ask.group, 0) for o in same))
    return said


@pytest.mark.parametrize("strategy", [(), (OVER_HOSTS,), (OVER_ZONES,), (ON_MEMORY,), (ON_CPU, OVER_ZONES)])
@given(having=some.filter(bool), seed=seeds)
@settings(max_examples=20)
def test_of_equal_hosts_one_with_the_image_is_taken(strategy, having, seed) -> None:
    hosts = [host(name) for name in "abcdef"]
    ask = replace(WANTS, strategy=strategy)
    for way in (grouped, one_by_one):
        assert way(hosts, having, ask, 1, seed).keys() <= having


@given(having=some, count=st.integers(1, 6), seed=seeds)
@settings(max_examples=60)
def test_a_group_goes_to_hosts_with_the_image_first_both_ways(having, count, seed) -> None:
    hosts = [host(name) for name in "abcdef"]
    ask = replace(WANTS, strategy=(OVER_HOSTS,))
    for way in (grouped, one_by_one):
        placed = way(hosts, having, ask, count, seed)
        assert sum(placed[name] for name in having) == min(count, len(having))
        assert max(placed.values()) == 1


@given(hosts=towns, ask=small_asks, chain=st.lists(plain_links, max_size=3).map(tuple), having=some, seed=seeds)
@settings(max_examples=150)
def test_no_strategy_is_ever_overridden(hosts, ask, chain, having, seed) -> None:
    ask = replace(ask, strategy=chain, constraints=(), image="web:1")
    fleet = fleet_of(hosts, having)
    placed = [place(Fleet(hosts) if plain else fleet_of(hosts, having), [ask], seed=seed).placed for plain in (1, 0)]
    assert len(placed[0]) == len(placed[1])
    if placed[0]:
        without, with_images = (plan[0].host for plan in placed)
        assert liked(fleet, with_images, ask) == liked(fleet, without, ask)


@given(hosts=towns, ask=small_asks, having=some, count=st.integers(1, 25), seed=seeds)
@settings(max_examples=80)
def test_spread_reaches_the_same_levels_with_images_and_without(hosts, ask, having, count, seed) -> None:
    ask = replace(ask, strategy=(OVER_HOSTS,), constraints=(), image="web:1")
    levels = []
    for way, told in ((grouped, having), (one_by_one, having), (grouped, ())):
        placed = way(hosts, told, ask, count, seed)
        levels.append(sorted(one.groups.get(ask.group, 0) + placed[one.id] for one in hosts))
    assert levels[0] == levels[1] == levels[2]


@pytest.mark.parametrize("chain", [(ON_MEMORY,), (OVER_ZONES, ON_MEMORY), (ON_MEMORY, OVER_ZONES)])
@given(
    sizes=st.lists(st.integers(200, 4000), min_size=1, max_size=6, unique=True), count=st.integers(1, 30), having=some
)
@settings(max_examples=40)
def test_binpack_fills_the_same_hosts_with_images_and_without(chain, sizes, count, having) -> None:
    hosts = [
        host("abcdef"[number], free_memory=size, free_cpu=size, attributes={ZONE: "ab"[number % 2]})
        for number, size in enumerate(sizes)
    ]
    ask = replace(WANTS, cpu=100, memory=200, strategy=chain)
    if chain[0] is ON_MEMORY:
        assert grouped(hosts, having, ask, count) == grouped(hosts, (), ask, count)
    assert grouped(hosts, having, ask, count) == one_by_one(hosts, having, ask, count)


def test_a_host_that_takes_the_place_of_another_does_not_have_its_images() -> None:
    fleet = fleet_of([host(name) for name in "abc"], ["b", "nobody"])
    fleet.drop("b")
    for number in range(40):
        fleet.put(host(f"new-{number}"))
    mask = fleet.images.on("web:1")
    assert mask is not None and len(mask) == fleet.columns.size and not mask.any()
    fleet.tell_image("web:1", ["new-39"])
    assert place(fleet, [WANTS], seed=1).placed[0].host == "new-39"


def test_an_image_that_nobody_has_any_more_is_forgotten_and_so_are_the_oldest_of_many() -> None:
    fleet = fleet_of([host("a"), host("b")], ["b"])
    assert fleet.images.on("web:1") is not None
    fleet.tell_image("web:1", [])
    assert fleet.images.on("web:1") is None
    for number in range(MOST_IMAGES + 1):
        fleet.tell_image(f"job:{number}", ["a"])
    assert fleet.images.on("job:0") is None
    assert fleet.images.on("job:1") is not None
    assert fleet.images.on("") is None
