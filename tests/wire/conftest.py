"""A plane of one service alone for the folder of its name, and ECR beside a running registry."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.aws.service import Service
from kit.clock import ManualClock, SystemClock
from kit.settings import Settings
from orchestrator.operations import SERVICES
from tests.support.loopback import KEY, Loopback
from tests.support.registry import (
    RegistryClient,
    running_registry,
)

SERVICE = {service.name: service for service in SERVICES}


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Service:
    """The service that the test's folder is called after."""
    return SERVICE[request.path.parent.name]


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
def embedded(service: Service, sqlite_url: str) -> Iterator[Any]:
    """A client for what never reaches the store, so that the database makes no difference."""
    loopback = Loopback(sqlite_url, [service])
    yield loopback.client(service.name)
    loopback.close()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryClient]:
    with running_registry(tmp_path) as running:
        running.token(key_id=KEY.access_key_id)
        yield running


@pytest.fixture
def ecr_plane(registry: RegistryClient, tmp_path: Path) -> Iterator[Loopback]:
    loopback = Loopback(
        str(registry.store.url),
        [SERVICE["ecr"]],
        settings=Settings(data=tmp_path, registry_port=int(registry.address.partition(":")[2])),
        secrets=registry.secrets,
        storage=registry.storage,
    )
    yield loopback
    loopback.close()


@pytest.fixture
def ecr(ecr_plane: Loopback) -> Any:
    return ecr_plane.client("ecr")
