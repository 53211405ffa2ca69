"""Rigs for the contract of runtimes, and benches for the tests of an agent on a real engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.runtime_rigs import DockerRig, Rig, SimulatedRig
from tests.support.agent_bench import Bench, bench_on
from tests.support.engine import Engine


@pytest.fixture(params=["simulated", pytest.param("docker", marks=pytest.mark.docker)])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A runtime driver, the simulated one and the real one."""
    if request.param == "simulated":
        yield SimulatedRig()
        return
    engine = request.getfixturevalue("docker_engine")
    rig = DockerRig(engine.host, request.getfixturevalue("busybox_image"))
    yield rig
    engine.remove(f"berth.test.contract={rig.run}")
    rig.runtime.remove_network(rig.name("net"))
    rig.runtime.remove_volume(rig.name("vol"))
    rig.runtime.close()


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
