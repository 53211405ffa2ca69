"""Benches for the tests of an agent on a real engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent_bench import Bench, bench_on
from tests.support.engine import Engine


@pytest.fixture(scope="module")
def agent_options() -> tuple[str, ...]:
    """More of the command line of a module's agent."""
    return ()


@pytest.fixture(scope="module")
def module_bench(
    docker_engine: Engine,
    busybox_image: str,
    tmp_path_factory: pytest.TempPathFactory,
    agent_options: tuple[str, ...],
) -> Iterator[Bench]:
    data = tmp_path_factory.mktemp("bench") / "agent"
    with bench_on(docker_engine, busybox_image, data, *agent_options) as bench:
        yield bench


@pytest.fixture
def bench(module_bench: Bench) -> Iterator[Bench]:
    """The bench of all tests in a module, which is found without tasks: starting an agent costs more than most of
    them. Who does something to the agent or its control plane takes ``own_bench``."""
    yield module_bench
    module_bench.clear()


@pytest.fixture
def own_bench(docker_engine: Engine, busybox_image: str, tmp_path: Path) -> Iterator[Bench]:
    """A bench of the test's own."""
    with bench_on(docker_engine, busybox_image, tmp_path / "agent") as bench:
        yield bench
