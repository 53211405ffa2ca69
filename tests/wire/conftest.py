"""A plane of one service alone for the room of its name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.aws.service import Service
from kit.clock import ManualClock, SystemClock
from orchestrator.operations import SERVICES
from tests.support.loopback import Loopback

WIRE = Path(__file__).parent
SERVICE = {service.name: service for service in SERVICES}


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Service:
    """The service that the test's room is called after."""
    return SERVICE[request.path.relative_to(WIRE).parts[0]]


@pytest.fixture
def berth(service: Service, store_url: str) -> Iterator[Loopback]:
    """A plane of the service alone, on both databases."""
    # Real clients sign with the real time, so the server starts there and moves only when told to.
    loopback = Loopback(store_url, [service], clock=ManualClock(SystemClock().now()))
    yield loopback
    loopback.close()


@pytest.fixture
def client(service: Service, berth: Loopback) -> Any:
    return berth.client(service.name)


@pytest.fixture
def embedded_berth(service: Service, sqlite_url: str) -> Iterator[Loopback]:
    """A plane of the service alone for what either database answers alike."""
    loopback = Loopback(sqlite_url, [service])
    yield loopback
    loopback.close()


@pytest.fixture
def embedded(service: Service, embedded_berth: Loopback) -> Any:
    """A client for what never reaches the store, so that the database makes no difference."""
    return embedded_berth.client(service.name)
