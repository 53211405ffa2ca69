"""Capacity provider strategies: base first, then weights, whatever runs already."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.capacity_split import split


def item(name: str, weight: int = 0, base: int = 0) -> dict[str, object]:
    return {"capacityProvider": name, "weight": weight, "base": base}


@pytest.mark.parametrize(
    ("count", "strategy", "running", "expected"),
    [
        (4, [item("FARGATE", 1), item("FARGATE_SPOT", 3)], {}, {"FARGATE": 1, "FARGATE_SPOT": 3}),
        (10, [item("FARGATE", 1, base=2), item("FARGATE_SPOT", 3)], {}, {"FARGATE": 4, "FARGATE_SPOT": 6}),
        (1, [item("FARGATE", 0, base=1), item("FARGATE_SPOT", 1)], {}, {"FARGATE": 1}),
        (5, [item("FARGATE", 0, base=2), item("FARGATE_SPOT", 1)], {"FARGATE": 2}, {"FARGATE_SPOT": 5}),
        (5, [item("FARGATE", 0, base=2), item("FARGATE_SPOT", 1)], {"FARGATE": 1}, {"FARGATE": 1, "FARGATE_SPOT": 4}),
        (2, [item("FARGATE", 1), item("FARGATE_SPOT", 1)], {"FARGATE": 2}, {"FARGATE_SPOT": 2}),
        (3, [item("FARGATE_SPOT", 1)], {}, {"FARGATE_SPOT": 3}),
        (3, [item("FARGATE", 0, base=1)], {}, {"FARGATE": 3}),
        (0, [item("FARGATE", 1)], {}, {}),
        (1, [item("FARGATE", 1), item("FARGATE_SPOT", 1)], {}, {"FARGATE": 1}),
    ],
)
def test_bases_are_met_first_and_the_rest_goes_by_weight(count, strategy, running, expected) -> None:
    assert split(count, strategy, running) == expected


@st.composite
def strategies(draw: st.DrawFn) -> list[dict[str, object]]:
    names = [f"p{number}" for number in range(draw(st.integers(1, 5)))]
    based = draw(st.sampled_from([None, *names]))
    weights = draw(st.lists(st.integers(0, 20), min_size=len(names), max_size=len(names)).filter(any))
    return [
        item(name, weight, draw(st.integers(1, 10)) if name == based else 0)
        for name, weight in zip(names, weights, strict=True)
    ]


@given(strategies(), st.integers(0, 200))
def test_of_none_running_each_gets_its_base_and_within_one_of_its_share(strategy, count: int) -> None:
    shares = split(count, strategy, {})
    assert sum(shares.values()) == count
    base = sum(one["base"] for one in strategy)
    beyond = max(0, count - base)
    total = sum(one["weight"] for one in strategy)
    for one in strategy:
        got = shares.get(one["capacityProvider"], 0)
        assert got >= min(one["base"], count)
        share = beyond * one["weight"] / total
        # The rule serves one after the other, so with several providers a share may be off by more than rounding.
        assert abs(got - min(one["base"], count) - share) < max(2, len(strategy))


@given(strategies(), st.integers(0, 60), st.integers(0, 60))
def test_in_turns_it_comes_to_the_same_as_at_once(strategy, first: int, second: int) -> None:
    before = split(first, strategy, {})
    after = split(second, strategy, before)
    assert {name: before.get(name, 0) + after.get(name, 0) for name in before.keys() | after.keys()} == split(
        first + second, strategy, {}
    )


@given(strategies(), st.integers(0, 60), st.dictionaries(st.sampled_from(["p0", "p1", "p2"]), st.integers(0, 50)))
def test_nobody_without_weight_gets_more_than_its_base(strategy, count: int, running) -> None:
    shares = split(count, strategy, running)
    assert sum(shares.values()) == count and all(shares.values())
    for one in strategy:
        if not one["weight"]:
            missing = max(0, one["base"] - running.get(one["capacityProvider"], 0))
            assert shares.get(one["capacityProvider"], 0) <= missing
