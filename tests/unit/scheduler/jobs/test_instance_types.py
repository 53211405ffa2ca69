"""Instance types: real sizes, the smallest that fits, and a clear no to what is unknown."""

import pytest

from scheduler.jobs.instance_types import UnknownInstanceType, allowed_types, smallest_fitting


def test_a_family_stands_for_its_sizes_and_the_smallest_comes_first() -> None:
    names = [kind.name for kind in allowed_types(["m5"])]
    assert names[:2] == ["m5.large", "m5.xlarge"]
    assert all(name.startswith("m5.") for name in names)


def test_optimal_is_what_is_taken_when_nothing_is_named() -> None:
    assert allowed_types([]) == allowed_types(["optimal"])
    assert {kind.name.partition(".")[0] for kind in allowed_types([])} == {"c5", "m5", "r5"}


@pytest.mark.parametrize(
    ("vcpus", "memory", "name"),
    [
        (1, 512, "c5.large"),
        (2, 3584, "c5.large"),
        (2, 4096, "m5.large"),
        (2, 8000, "r5.large"),
        (3, 512, "c5.xlarge"),
        (64, 400_000, "r5.16xlarge"),
    ],
)
def test_optimal_picks_the_smallest_that_fits(vcpus: int, memory: int, name: str) -> None:
    kind = smallest_fitting(allowed_types(["optimal"]), vcpus * 1024, memory)
    assert kind is not None
    assert kind.name == name


def test_nothing_fits_what_is_larger_than_every_host() -> None:
    assert smallest_fitting(allowed_types(["optimal"]), 1024, 10**6) is None


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(UnknownInstanceType, match=r"'x1e\.nothing' is not known"):
        allowed_types(["m5.large", "x1e.nothing"])
