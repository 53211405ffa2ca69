"""ECR beside a running registry, on one store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.aws.service import Service
from kit.settings import Settings
from tests.support.loopback import KEY, Loopback
from tests.support.registry import RegistryClient, running_registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryClient]:
    with running_registry(tmp_path) as running:
        running.token(key_id=KEY.access_key_id)
        yield running


@pytest.fixture
def ecr_plane(service: Service, registry: RegistryClient, tmp_path: Path) -> Iterator[Loopback]:
    loopback = Loopback(
        str(registry.store.url),
        [service],
        settings=Settings(data=tmp_path, registry_port=int(registry.address.partition(":")[2])),
        secrets=registry.secrets,
        storage=registry.storage,
    )
    yield loopback
    loopback.close()


@pytest.fixture
def ecr(ecr_plane: Loopback) -> Any:
    return ecr_plane.client("ecr")
