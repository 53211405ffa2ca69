"""What a busy container uses, on a real Docker Engine: as the kernel tells it, and as the engine does."""

import threading
from collections.abc import Callable, Iterator

import docker
import pytest

from agent.runtime import Usage
from agent.runtime.cgroup_files import CgroupFiles
from agent.runtime.cgroup_usage import usage_of
from agent.runtime.docker import DockerRuntime
from agent.runtime.docker_reading import usage
from kit.clock import SystemClock, monotonic
from tests.support.engine import Engine

pytestmark = [pytest.mark.docker, pytest.mark.alone]

# Work, traffic, cached files and memory; then nothing more, so that two who look one after the other see the same.
BUSY = "dd if=/dev/zero of=/tmp/file bs=1M count=8; cat /tmp/file | sort > /dev/null; ping -c 3 $GATEWAY; sleep 600"


@pytest.fixture
def runtime(docker_engine: Engine) -> Iterator[DockerRuntime]:
    runtime = DockerRuntime(clock=SystemClock(), host=docker_engine.host)
    yield runtime
    runtime.close()


def started(engine: Engine, image: str, script: str, **host: object) -> str:
    gateway = engine.client.networks.get("bridge").attrs["IPAM"]["Config"][0].get("Gateway", "127.0.0.1")
    api = engine.client.api
    container: str = api.create_container(
        image,
        ["sh", "-c", script],
        environment={"GATEWAY": gateway},
        labels=engine.labels,
        host_config=api.create_host_config(**host),
    )["Id"]
    api.start(container)
    return container


def told(client: docker.DockerClient, container: str) -> Usage:
    return usage(client.api.stats(container, stream=False))


def until(true: Callable[[], bool]) -> None:
    give_up_at = monotonic() + 30
    while not true():
        assert monotonic() < give_up_at, "it did not happen in time"
        threading.Event().wait(0.05)


def sleeps(client: docker.DockerClient, container: str) -> bool:
    """Whether the script has come to its last command."""
    return any(process[-1] == "sleep 600" for process in client.api.top(container)["Processes"])


def test_the_kernel_and_the_engine_tell_the_same(
    docker_engine: Engine, busybox_image: str, runtime: DockerRuntime
) -> None:
    container = started(docker_engine, busybox_image, BUSY)
    until(lambda: sleeps(docker_engine.client, container))
    files = CgroupFiles(runtime.details)
    mine, theirs = files.read(container, usage_of), told(docker_engine.client, container)
    assert mine is not None
    assert mine.cpu_ns > 0
    assert mine.cpu_ns == pytest.approx(theirs.cpu_ns, rel=0.05)
    assert mine.memory_bytes == pytest.approx(theirs.memory_bytes, abs=2 * 1024 * 1024)
    assert (mine.read_bytes, mine.write_bytes) == (theirs.read_bytes, theirs.write_bytes)
    assert mine.tx_bytes >= 3 * 84
    # Neighbours on the bridge may say something to all at any moment.
    assert mine.rx_bytes == pytest.approx(theirs.rx_bytes, abs=1000)
    assert mine.tx_bytes == pytest.approx(theirs.tx_bytes, abs=1000)


def test_statistics_are_those_of_the_engine_without_its_second(
    docker_engine: Engine, busybox_image: str, runtime: DockerRuntime
) -> None:
    container = started(docker_engine, busybox_image, BUSY, mem_limit="64m")
    until(lambda: sleeps(docker_engine.client, container))
    mine, theirs = runtime.statistics(container), docker_engine.client.api.stats(container, stream=False)
    assert (mine["id"], mine["name"], mine["preread"]) == (container, theirs["name"], "0001-01-01T00:00:00Z")
    assert mine["read"] < theirs["read"]
    assert mine["cpu_stats"].keys() == theirs["cpu_stats"].keys()
    assert mine["cpu_stats"]["cpu_usage"].keys() == theirs["cpu_stats"]["cpu_usage"].keys()
    assert mine["cpu_stats"]["online_cpus"] == theirs["cpu_stats"]["online_cpus"]
    assert mine["cpu_stats"]["system_cpu_usage"] == pytest.approx(theirs["cpu_stats"]["system_cpu_usage"], rel=0.01)
    assert mine["memory_stats"].keys() >= {"usage", "limit", "stats"}
    assert mine["memory_stats"]["limit"] == theirs["memory_stats"]["limit"] == 64 * 1024 * 1024
    assert mine["memory_stats"]["stats"].keys() >= theirs["memory_stats"]["stats"].keys()
    assert mine["networks"].keys() == theirs["networks"].keys()
    assert mine["networks"]["eth0"].keys() == theirs["networks"]["eth0"].keys()
    for kind in ("io_service_bytes_recursive", "io_serviced_recursive"):
        assert mine["blkio_stats"][kind] == theirs["blkio_stats"][kind]
    assert mine["pids_stats"]["current"] == theirs["pids_stats"]["current"]


def test_a_container_that_was_started_again_is_counted_anew(
    docker_engine: Engine, busybox_image: str, runtime: DockerRuntime
) -> None:
    container = started(docker_engine, busybox_image, BUSY)
    until(lambda: sleeps(docker_engine.client, container))
    before = runtime.stats(container)
    docker_engine.client.api.restart(container, timeout=0)
    assert runtime.stats(container).cpu_ns < before.cpu_ns


def test_a_container_in_the_hosts_network_has_no_traffic_of_its_own(
    docker_engine: Engine, busybox_image: str, runtime: DockerRuntime
) -> None:
    container = started(docker_engine, busybox_image, "sleep 600", network_mode="host")
    mine, theirs = runtime.stats(container), told(docker_engine.client, container)
    assert (mine.rx_bytes, mine.tx_bytes) == (theirs.rx_bytes, theirs.tx_bytes) == (0, 0)


def test_containers_that_share_a_network_namespace_see_its_traffic(
    docker_engine: Engine, busybox_image: str, runtime: DockerRuntime
) -> None:
    owner = started(docker_engine, busybox_image, BUSY)
    guest = started(docker_engine, busybox_image, "sleep 600", network_mode=f"container:{owner}")
    until(lambda: sleeps(docker_engine.client, owner))
    assert runtime.stats(guest).tx_bytes == runtime.stats(owner).tx_bytes >= 3 * 84
