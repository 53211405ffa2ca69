"""A Berth for the end-to-end tests: one for all tests of a worker, on the machine's engine, gone when they end."""

from collections.abc import Iterator

import pytest

from tests.support.berth import RunningBerth, running_berth
from tests.support.engine import Engine
from tests.support.site import Site, running_site


@pytest.fixture(scope="session")
def berth(docker_engine: Engine) -> Iterator[RunningBerth]:
    """A Berth that is up, with one host in cluster ``default``: this machine's engine."""
    with running_berth(docker_engine) as running:
        yield running


@pytest.fixture(scope="session")
def image(berth: RunningBerth, busybox_image: str) -> str:
    """The name of a busybox in Berth's registry."""
    return berth.push(busybox_image, "e2e/busybox")


@pytest.fixture(scope="module")
def site(docker_engine: Engine) -> Iterator[Site]:
    """Two hosts of a module's own, with an engine and an agent each, which may lose whatever a host can lose."""
    with running_site(docker_engine, hosts=2) as running:
        yield running
