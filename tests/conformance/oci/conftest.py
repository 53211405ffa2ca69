"""The registry under test, with two empty repositories: on files and SQLite, and in memory and on PostgreSQL.

The first is served as Berth serves, the second by plain uvicorn, which offers nothing beyond ASGI.
"""

from collections.abc import Iterator

import pytest

from orchestrator.cli.bounded_http import BoundedHttp
from registry.storage.memory import MemoryStorage
from tests.support.registry import RegistryClient, running_registry


@pytest.fixture(scope="session", params=["files-sqlite", "memory-postgresql"])
def shared_registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RegistryClient]:
    directory = tmp_path_factory.mktemp("registry")
    if request.param == "files-sqlite":
        with running_registry(directory, http=BoundedHttp) as running:
            yield running
    else:
        url = request.getfixturevalue("postgres").new_database()
        with running_registry(directory, storage=MemoryStorage(), url=url) as running:
            yield running


@pytest.fixture
def oci(shared_registry: RegistryClient) -> RegistryClient:
    """The registry, as on its first day but for its blobs' bytes."""
    shared_registry.forget_everything()
    for name in ("web", "other"):
        shared_registry.make_repository(name)
    return shared_registry
