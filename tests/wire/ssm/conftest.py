"""Parameter Store through a real boto3 client: a plane of that service alone, on both databases."""

from collections.abc import Iterator
from typing import Any

import pytest

from kit.clock import ManualClock, SystemClock
from orchestrator.api.ssm import ssm
from tests.support.loopback import Loopback


@pytest.fixture
def berth(store_url: str) -> Iterator[Loopback]:
    # Real clients sign with the real time, so the server starts there and moves only when told to.
    loopback = Loopback(store_url, [ssm], clock=ManualClock(SystemClock().now()))
    yield loopback
    loopback.close()


@pytest.fixture
def client(berth: Loopback) -> Any:
    return berth.client("ssm")


@pytest.fixture
def embedded(sqlite_url: str) -> Iterator[Any]:
    """A client for what never reaches the store, so that the database makes no difference."""
    loopback = Loopback(sqlite_url, [ssm])
    yield loopback.client("ssm")
    loopback.close()
