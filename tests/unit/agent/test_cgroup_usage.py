"""Usage and statistics read from the kernel's files: what is counted, and when the engine has to be asked after all."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.runtime import Details, NotFound, Usage
from agent.runtime.cgroup_files import CgroupFiles
from agent.runtime.cgroup_statistics import statistics_of
from agent.runtime.cgroup_usage import usage_of
from agent.runtime.docker_reading import usage

ID = "f00d" * 16
NETWORK = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  999999     10    0    0    0     0          0         0   999999      10    0    0    0     0       0          0
  eth0:    1000     10    0    0    0     0          0         0      200       2    0    0    0     0       0          0
  eth1:      30     10    0    0    0     0          0         0        4       2    0    0    0     0       0          0
ecs-eth0: 50000     10    0    0    0     0          0         0    60000       2    0    0    0     0       0          0
"""  # noqa: E501
USAGE = Usage(cpu_ns=5_000_000, memory_bytes=700, rx_bytes=1030, tx_bytes=204, read_bytes=8192, write_bytes=512)


@dataclass(slots=True)
class Machine:
    """The kernel's files of one machine, and an engine that counts how often it is asked."""

    root: Path
    engine: dict[str, Details] = field(default_factory=dict)
    asked: int = 0

    def __post_init__(self) -> None:
        self.files = CgroupFiles(self.details, cgroups=self.root / "cgroup", processes=self.root / "proc")

    files: CgroupFiles = field(init=False)

    def usage(self) -> Usage | None:
        return self.files.read(ID, usage_of)

    def details(self, container: str) -> Details:
        self.asked += 1
        if container not in self.engine:
            raise NotFound(f"No such container: {container}")
        return self.engine[container]

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def process(self, pid: int, container: str = ID, mode: str = "bridge") -> None:
        self.engine[container] = Details(name="web", pid=pid, network_mode=mode)
        self.write(f"proc/{pid}/net/dev", NETWORK)

    def end(self, pid: int) -> None:
        for name in ("cgroup", "net/dev"):
            (self.root / "proc" / str(pid) / name).unlink()


def version_1(machine: Machine, pid: int = 7, container: str = ID, mode: str = "bridge") -> Machine:
    machine.process(pid, container, mode)
    at = f"docker/{container}"
    machine.write(f"proc/{pid}/cgroup", f"4:memory:/{at}\n3:blkio:/{at}\n2:cpu,cpuacct:/{at}\n1:name=systemd:/\n")
    machine.write(f"cgroup/cpuacct/{at}/cpuacct.usage", "5000000\n")
    machine.write(f"cgroup/memory/{at}/memory.usage_in_bytes", "1000\n")
    machine.write(f"cgroup/memory/{at}/memory.stat", "cache 400\ninactive_file 1\ntotal_inactive_file 300\ntotal_x 9\n")
    machine.write(
        f"cgroup/blkio/{at}/blkio.throttle.io_service_bytes",
        "8:0 Read 4096\n8:0 Write 512\n8:0 Sync 4608\n8:0 Total 4608\n8:16 Read 4096\nTotal 8704\n",
    )
    return machine


def version_2(machine: Machine, pid: int = 7, container: str = ID, mode: str = "bridge") -> Machine:
    machine.process(pid, container, mode)
    at = f"system.slice/docker-{container}.scope"
    machine.write(f"proc/{pid}/cgroup", f"0::/{at}\n")
    machine.write("cgroup/cgroup.controllers", "cpu io memory\n")
    machine.write(f"cgroup/{at}/cpu.stat", "usage_usec 5000\nuser_usec 1\nsystem_usec 4999\n")
    machine.write(f"cgroup/{at}/memory.current", "1000\n")
    machine.write(f"cgroup/{at}/memory.stat", "anon 1\nactive_inactive_file 5\ninactive_file 300\nactive_file 2\n")
    machine.write(
        f"cgroup/{at}/io.stat", "8:0 rbytes=4096 wbytes=512 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=4096 wbytes=0\n"
    )
    return machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("version", [version_1, version_2])
def test_usage_is_counted_as_the_engine_counts_it(machine: Machine, version: object) -> None:
    assert callable(version)
    version(machine)
    assert machine.usage() == USAGE


def test_the_engine_is_asked_once_for_every_start_of_a_container(machine: Machine) -> None:
    version_1(machine)
    for _ in range(3):
        assert machine.usage() == USAGE
    assert machine.asked == 1
    machine.end(7)
    version_1(machine, pid=8)
    for _ in range(3):
        assert machine.usage() == USAGE
    assert machine.asked == 2


def test_a_process_that_took_an_ended_ones_number_is_not_the_containers(machine: Machine) -> None:
    version_1(machine)
    assert machine.usage() == USAGE
    version_1(machine, pid=8)
    machine.write("proc/7/cgroup", "4:memory:/user.slice\n")
    machine.write("proc/7/net/dev", NETWORK.replace("1000", "777777"))
    assert machine.usage() == USAGE


def test_what_has_ended_is_left_to_the_engine(machine: Machine) -> None:
    version_1(machine)
    assert machine.usage()
    machine.end(7)
    machine.engine[ID] = Details()
    assert machine.usage() is None
    del machine.engine[ID]
    with pytest.raises(NotFound):
        machine.usage()


def test_a_container_that_runs_elsewhere_is_left_to_the_engine_without_asking_it_again(machine: Machine) -> None:
    """As behind a socket of another machine: the number is some other process's here, or nobody's."""
    version_1(machine)
    machine.write("proc/7/cgroup", "4:memory:/user.slice\n")
    for _ in range(3):
        assert machine.usage() is None
    assert machine.asked == 1
    machine.files.forget(ID)
    version_1(machine)
    assert machine.usage() == USAGE


def test_cgroups_that_are_not_seen_are_left_to_the_engine(machine: Machine) -> None:
    machine.process(7)
    machine.write("proc/7/cgroup", f"0::/../{ID}\n")
    machine.write("cgroup/cgroup.controllers", "cpu io memory\n")
    assert machine.usage() is None


def test_the_machines_own_traffic_is_no_containers(machine: Machine) -> None:
    version_1(machine, mode="host")
    used = machine.usage()
    assert used
    assert (used.rx_bytes, used.tx_bytes, used.memory_bytes) == (0, 0, 700)


@pytest.mark.parametrize(("mode", "received"), [("berth-awsvpc", 1030), ("host", 0)])
def test_a_shared_network_namespace_is_counted_as_its_owners(machine: Machine, mode: str, received: int) -> None:
    machine.engine["owner"] = Details(pid=6, network_mode=mode)
    version_1(machine, mode="container:owner")
    used = machine.usage()
    assert used
    assert used.rx_bytes == received


@pytest.mark.parametrize(("version", "operations"), [(version_1, 5), (version_2, 4)])
def test_statistics_have_dockers_own_form(machine: Machine, version: object, operations: int) -> None:
    assert callable(version)
    version(machine)
    for name, text in (
        ("cgroup/cpu/docker/{}/cpu.stat", "nr_periods 5\nnr_throttled 2\nthrottled_time 7000\n"),
        ("cgroup/cpuacct/docker/{}/cpuacct.stat", "user 3\nsystem 1\n"),
        ("cgroup/cpuacct/docker/{}/cpuacct.usage_percpu", "4000000 1000000\n"),
        ("cgroup/memory/docker/{}/memory.limit_in_bytes", "4096\n"),
        ("cgroup/memory/docker/{}/memory.max_usage_in_bytes", "2000\n"),
        ("cgroup/system.slice/docker-{}.scope/memory.max", "4096\n"),
    ):
        machine.write(name.format(ID), text)
    sample = machine.files.read(ID, lambda place: statistics_of(place, ID, datetime(2030, 1, 1, tzinfo=UTC)))
    assert sample
    assert (sample["id"], sample["name"], sample["read"]) == (ID, "/web", "2030-01-01T00:00:00.000000000Z")
    assert sample["cpu_stats"]["system_cpu_usage"] > 0 and sample["cpu_stats"]["online_cpus"] > 0
    assert (sample["memory_stats"]["usage"], sample["memory_stats"]["limit"]) == (1000, 4096)
    assert list(sample["networks"]) == ["eth0", "eth1"]
    assert (sample["networks"]["eth0"]["rx_packets"], sample["networks"]["eth0"]["tx_packets"]) == (10, 2)
    first = sample["blkio_stats"]["io_service_bytes_recursive"][0]
    assert first == {"major": 8, "minor": 0, "op": "Read", "value": 4096}
    assert len(sample["blkio_stats"]["io_service_bytes_recursive"]) == operations
    # Who reads it as the engine's own finds the same as in the files.
    assert usage(sample) == machine.usage() == USAGE
    json.dumps(sample)
