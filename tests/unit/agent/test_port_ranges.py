"""Ranges of ports on a host: picked free and in a row, picked again when taken, reported as ranges."""

import socket
from typing import Any

import pytest

from agent.runtime import PortBinding
from agent.tasks.bindings import fold, render_binding
from agent.tasks.host_ports import HostPorts, NoPortsInARow, can_bind
from agent.tasks.model import Phase
from agent.tasks.reports import render_report
from agent.tasks.spec import PortMapping
from tests.support.agent_process import container
from tests.unit.agent.host import MemoryHost

RANGE = {"portMappings": [{"containerPortRange": "8000-8009"}]}


def free_but(*taken: int) -> dict[str, Any]:
    return {"probe": lambda port, protocol: port not in taken}


def test_ports_in_a_row_are_found_wherever_the_search_begins() -> None:
    for seed in range(50):
        ports = HostPorts(first=100, last=119, reserved=(104,), seed=seed, **free_but(112))
        assert ports.pick(7, "tcp") in (105, 113)
        assert ports.pick(1, "tcp") in range(100, 120)


def test_where_no_gap_is_wide_enough_there_are_none() -> None:
    with pytest.raises(NoPortsInARow, match="no 8 free host ports in a row between 100 and 119"):
        HostPorts(first=100, last=119, reserved=(104,), **free_but(112)).pick(8, "tcp")
    with pytest.raises(NoPortsInARow):
        HostPorts(first=100, last=119).pick(21, "tcp")
    assert HostPorts(first=100, last=119).pick(20, "tcp") == 100


def test_a_port_that_somebody_has_is_not_free() -> None:
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        port = mine.getsockname()[1]
        assert not can_bind(port, "tcp")
        assert can_bind(port, "udp")
    assert can_bind(port, "tcp")


def binding(container_port: int, host_port: int, protocol: str = "tcp") -> PortBinding:
    return PortBinding(container_port=container_port, host_port=host_port, protocol=protocol)


def test_bindings_of_a_range_are_shown_together_as_far_as_they_follow_each_other() -> None:
    mappings = [
        PortMapping(container_port=80, host_port=0, protocol="tcp", count=3),
        PortMapping(container_port=83, host_port=0, protocol="tcp"),
        PortMapping(container_port=80, host_port=0, protocol="udp", count=2),
    ]
    seen = [binding(80, 500), binding(81, 501), binding(82, 502), binding(83, 503)]
    seen += [binding(80, 700, "udp"), binding(81, 702, "udp")]
    assert [render_binding(one) for one in fold(seen, mappings)] == [
        {"bindIP": "0.0.0.0", "containerPortRange": "80-82", "hostPortRange": "500-502", "protocol": "tcp"},
        {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 700, "protocol": "udp"},
        {"bindIP": "0.0.0.0", "containerPort": 81, "hostPort": 702, "protocol": "udp"},
        {"bindIP": "0.0.0.0", "containerPort": 83, "hostPort": 503, "protocol": "tcp"},
    ]


def test_a_task_reports_its_range_as_one_binding(host: MemoryHost) -> None:
    host.run("t1", container("web", "server", **RANGE))
    report = host.last("t1")
    assert report
    [shown] = render_report(report)["containers"][0]["networkBindings"]
    first, last = (int(port) for port in shown["hostPortRange"].split("-"))
    assert (shown["containerPortRange"], last - first) == ("8000-8009", 9)


def test_in_host_mode_a_range_is_the_hosts_own(host: MemoryHost) -> None:
    host.run("t1", container("web", "server", **RANGE), networkMode="host")
    [shown] = host.seen("t1", "web").bindings
    assert (shown.container_port, shown.host_port, shown.count) == (8000, 8000, 10)


def test_ports_that_turn_out_to_be_taken_are_picked_again(host: MemoryHost) -> None:
    host.run("other", container("db", "server", portMappings=[{"containerPort": 1, "hostPort": 200}]))
    # Everybody else's ports are not to be seen from here, as on an engine elsewhere.
    host.pick_ports(HostPorts(first=195, last=215, seed=1))
    host.run("t1", container("web", "server", **RANGE))
    [shown] = host.seen("t1", "web").bindings
    assert shown.count == 10
    assert 200 not in range(shown.host_port, shown.host_port + 10)


def test_a_task_whose_range_fits_nowhere_says_so(host: MemoryHost) -> None:
    host.pick_ports(HostPorts(first=195, last=200))
    host.run("t1", container("web", "server", **RANGE))
    assert host.status("t1") is Phase.STOPPED
    assert "no 10 free host ports in a row between 195 and 200" in host.seen("t1", "web").reason
    host.pick_ports(HostPorts(first=300, last=309))
    host.run("t2", container("web", "server", **RANGE))
    host.run("t3", container("web", "server", **RANGE))
    assert host.status("t2") is Phase.RUNNING
    assert host.status("t3") is Phase.STOPPED
    assert "port is already allocated" in host.seen("t3", "web").reason
