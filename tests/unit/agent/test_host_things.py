"""What the agent makes on the host: the pause program, the cgroup; and what it reads of Docker."""

import signal
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.cgroup import CannotLimit, Cgroup, Limit
from agent.pause import BASE, HEADERS, UnknownMachine, pause_program
from agent.runtime import EngineInfo, Event, Health, Kind, LogLine, Status
from agent.runtime.docker_events import read_event
from agent.runtime.docker_logs import joined
from agent.runtime.docker_reading import container_state, epoch_text, instant, port_bindings, usage

ENGINE = EngineInfo(version="1", architecture="x86_64", cpus=1, memory_mib=1, cgroup_driver="cgroupfs")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_pause_program_sleeps_until_it_is_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "pause"
    path.write_bytes(pause_program("x86_64"))
    path.chmod(0o755)
    process = subprocess.Popen([path])
    while Path(f"/proc/{process.pid}/stat").read_text().split()[2] != "S":
        pass
    process.send_signal(number)
    assert process.wait(10) == 0


def test_the_arm_program_is_laid_out_as_the_kernel_reads_it() -> None:
    program = pause_program("aarch64")
    assert struct.unpack_from("<H", program, 18) == (183,)
    code = program[HEADERS:]
    words = struct.unpack_from(f"<{len(code) // 4}I", code)
    # The action that rt_sigaction is given starts with the address of the code that exits.
    addresses = [
        4 * i + (((w >> 5 & 0x7FFFF) << 2) | (w >> 29 & 3)) for i, w in enumerate(words) if w >> 24 & 0x9F == 0x10
    ]
    leave, same, ignore = addresses
    assert leave == same == ignore - 32
    # SIGCHLD's says: ignore it.
    assert struct.unpack_from("<QQQQ", code, ignore) == (1, 0, 0, 0)
    (handler,) = struct.unpack_from("<Q", code, addresses[0])
    at = (handler - BASE - HEADERS) // 4
    mov_x0_0, mov_x8_exit, svc = 0xD2800000, 0xD2800000 | 93 << 5 | 8, 0xD4000001
    assert words[at : at + 3] == (mov_x0_0, mov_x8_exit, svc)
    # What precedes it jumps back to the begin of the loop around ppoll (73).
    back = words[at - 1]
    begin = at - 1 - (0x4000000 - (back & 0x3FFFFFF))
    assert words[at - 3 : at - 1] == (0xD2800000 | 73 << 5 | 8, svc)
    assert words[begin] == mov_x0_0


def test_there_is_no_pause_program_for_an_unknown_machine() -> None:
    with pytest.raises(UnknownMachine, match="riscv64"):
        pause_program("riscv64")


def hierarchy(root: Path, *controllers: str) -> Path:
    for controller in controllers:
        (root / controller).mkdir()
    return root


def test_a_cgroup_of_version_1_is_limited_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = hierarchy(tmp_path, "cpu", "memory", "pids")
    cgroup = Cgroup("berth-c1", root=root)
    cgroup.create(Limit(cpu=256, memory=512), ENGINE)
    assert (root / "cpu/berth-c1/cpu.cfs_quota_us").read_text() == "25000"
    assert (root / "cpu/berth-c1/cpu.cfs_period_us").read_text() == "100000"
    assert (root / "memory/berth-c1/memory.limit_in_bytes").read_text() == str(512 << 20)
    cgroup.create(Limit(cpu=256, memory=512), ENGINE)
    assert not cgroup.remove()
    for path in root.glob("*/berth-c1/*"):
        path.unlink()
    assert cgroup.remove()
    assert not list(root.glob("*/berth-c1"))
    assert cgroup.remove()


def test_a_cgroup_of_version_2_gets_its_controllers_from_above(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    Cgroup("/berth/c1", root=tmp_path).create(Limit(cpu=2048, memory=64), ENGINE)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory"
    assert (tmp_path / "berth/cgroup.subtree_control").read_text() == "+cpu +memory"
    assert (tmp_path / "berth/c1/cpu.max").read_text() == "200000 100000"
    assert (tmp_path / "berth/c1/memory.max").read_text() == str(64 << 20)


@pytest.mark.parametrize(
    ("engine", "because"),
    [
        (EngineInfo(version="1", architecture="x", cpus=1, memory_mib=1, local=False), "another machine"),
        (EngineInfo(version="1", architecture="x", cpus=1, memory_mib=1, cgroup_driver="systemd"), "systemd"),
        (ENGINE, "cgroup /c1"),
    ],
)
def test_where_no_cgroup_can_be_made_the_reason_is_said(tmp_path: Path, engine: EngineInfo, because: str) -> None:
    (tmp_path / "cpu").write_text("a file where a directory is needed")
    with pytest.raises(CannotLimit, match=because):
        Cgroup("c1", root=tmp_path).create(Limit(cpu=1, memory=1), engine)


@pytest.mark.parametrize("path", ["", "/", "a/../b"])
def test_a_cgroup_needs_a_path_of_its_own(path: str) -> None:
    with pytest.raises(CannotLimit):
        Cgroup(path)


def test_an_inspection_is_read() -> None:
    state = container_state(
        {
            "Id": "i",
            "Name": "/n",
            "Config": {"Labels": None},
            "State": {
                "Status": "exited",
                "ExitCode": 137,
                "OOMKilled": True,
                "StartedAt": "2030-01-01T00:00:00.123456789Z",
                "FinishedAt": "2030-01-01T00:00:01Z",
                "Health": {"Status": "starting"},
            },
        }
    )
    assert (state.status, state.exit_code, state.oom_killed) == (Status.EXITED, 137, True)
    assert state.started_at == datetime(2030, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
    assert state.health is Health.UNKNOWN
    assert instant("0001-01-01T00:00:00Z") is None
    assert epoch_text("2030-01-01T00:00:00.5Z") == "1893456000.500000000"


def test_a_port_is_listed_once_for_both_address_families() -> None:
    both = [{"HostIp": "0.0.0.0", "HostPort": "49153"}, {"HostIp": "::", "HostPort": "49153"}]
    [port] = port_bindings({"80/tcp": both, "81/udp": None})
    assert (port.container_port, port.host_port, port.protocol) == (80, 49153, "tcp")


def test_usage_is_read_without_the_page_cache() -> None:
    seen = usage(
        {
            "cpu_stats": {"cpu_usage": {"total_usage": 5}},
            "memory_stats": {"usage": 100, "stats": {"total_inactive_file": 40}},
            "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 3, "tx_bytes": 4}},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 7}, {"op": "write", "value": 8}]},
        }
    )
    assert (seen.cpu_ns, seen.memory_bytes, seen.rx_bytes, seen.tx_bytes) == (5, 60, 4, 6)
    assert (seen.read_bytes, seen.write_bytes) == (7, 8)
    assert usage({}).memory_bytes == 0


def test_of_dockers_events_deaths_and_health_are_read() -> None:
    actor = {"ID": "c", "Attributes": {"a": "b"}}
    assert read_event({"Action": "die", "Actor": actor}) == Event(kind=Kind.DIED, container_id="c", labels={"a": "b"})
    healthy = read_event({"Action": "health_status: healthy", "Actor": actor})
    assert healthy
    assert healthy.health is Health.HEALTHY
    for other in ({"Action": "start"}, {}, None, [], "die"):
        assert read_event(other) is None


def test_parts_of_a_line_are_joined_per_stream() -> None:
    frames = [(1, b"t1 one "), (2, b"t2 error\r\n"), (1, b"t3 two\n"), (1, b"t4 rest")]
    assert list(joined(iter(frames))) == [
        LogLine(at="t2", text=b"error", stream=2),
        LogLine(at="t1", text=b"one two", stream=1),
        LogLine(at="t4", text=b"rest", stream=1),
    ]
