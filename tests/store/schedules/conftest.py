"""What the schedules loop is stepped with: a clock that the test turns, and a target that remembers its calls."""

import pytest

from kit.clock import ManualClock
from state.store import Store
from tests.support.firings import START, Target


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def target(store: Store) -> Target:
    return Target(store)
