"""CloudWatch Logs through a real boto3 client: a plane of that service alone, on both databases."""

from collections.abc import Iterator
from typing import Any

import pytest

from kit.clock import ManualClock, SystemClock, epoch_millis
from orchestrator.api.logs import logs
from tests.support.loopback import Loopback


@pytest.fixture
def berth(store_url: str) -> Iterator[Loopback]:
    # Real clients sign with the real time, so the server starts there and moves only when told to.
    loopback = Loopback(store_url, [logs], clock=ManualClock(SystemClock().now()))
    yield loopback
    loopback.close()


@pytest.fixture
def client(berth: Loopback) -> Any:
    return berth.client("logs")


@pytest.fixture
def embedded(sqlite_url: str) -> Iterator[Any]:
    """A client for what never reaches the store, so that the database makes no difference."""
    loopback = Loopback(sqlite_url, [logs])
    yield loopback.client("logs")
    loopback.close()


@pytest.fixture
def now(berth: Loopback) -> int:
    return epoch_millis(berth.clock.now())


@pytest.fixture
def stream(client: Any) -> dict[str, str]:
    client.create_log_group(logGroupName="/app")
    client.create_log_stream(logGroupName="/app", logStreamName="web/1")
    return {"logGroupName": "/app", "logStreamName": "web/1"}
