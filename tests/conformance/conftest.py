"""The registry under test: two empty repositories, ``web`` and ``other``, on each storage driver that serves HTTP."""

from collections.abc import Iterator

import pytest

from registry.storage.memory import MemoryStorage
from tests.support.registry import RegistryClient, running_registry


@pytest.fixture(scope="session", params=["filesystem", "memory"])
def shared_registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RegistryClient]:
    storage = MemoryStorage() if request.param == "memory" else None
    with running_registry(tmp_path_factory.mktemp("registry"), storage=storage) as running:
        yield running


@pytest.fixture
def oci(shared_registry: RegistryClient) -> RegistryClient:
    """The registry, as on its first day but for its blobs' bytes."""
    shared_registry.forget_everything()
    for name in ("web", "other"):
        shared_registry.make_repository(name)
    return shared_registry
