"""A Berth for the end-to-end tests: one for all tests of a worker, on the machine's engine, gone when they end."""

from collections.abc import Iterator

import pytest

from tests.support.berth import RunningBerth, running_berth
from tests.support.engine import Engine


@pytest.fixture(scope="session")
def berth(docker_engine: Engine) -> Iterator[RunningBerth]:
    """A Berth that is up, with one host in cluster ``default``: this machine's engine."""
    with running_berth(docker_engine) as running:
        yield running


@pytest.fixture(scope="session")
def image(berth: RunningBerth, busybox_image: str) -> str:
    """The name of a busybox in Berth's registry."""
    return berth.push(busybox_image, "e2e/busybox")
