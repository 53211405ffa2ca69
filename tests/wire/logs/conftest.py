"""A group and a stream in CloudWatch Logs, and the server's time as events have it."""

from typing import Any

import pytest

from kit.clock import epoch_millis
from tests.support.loopback import Loopback


@pytest.fixture
def now(berth: Loopback) -> int:
    return epoch_millis(berth.clock.now())


@pytest.fixture
def stream(client: Any) -> dict[str, str]:
    client.create_log_group(logGroupName="/app")
    client.create_log_stream(logGroupName="/app", logStreamName="web/1")
    return {"logGroupName": "/app", "logStreamName": "web/1"}
