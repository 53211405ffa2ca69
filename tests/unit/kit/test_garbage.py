"""The cycle collector is calmed, and still collects."""

import gc
from collections.abc import Iterator

import pytest

from kit.garbage import THRESHOLDS, calm_collector


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_is_loaded_is_never_looked_through_again() -> None:
    loaded = [[number] for number in range(1000)]
    calm_collector()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() > len(loaded)
    assert not any(found is loaded for found in gc.get_objects())


def test_cycles_are_still_collected() -> None:
    calm_collector()
    cycle: list[object] = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1
