"""Port ranges and GPUs on a real Docker Engine: published in a row, and refused with a reason where there is none."""

import pytest

from tests.support.agent_bench import Bench
from tests.support.pages import served

SERVE = "for port in 8000 8001 8002; do httpd -p $port -h /www; done; exec sleep 600"


@pytest.fixture(scope="module")
def agent_options() -> tuple[str, ...]:
    return ("--gpu", "TEST-GPU-0")


def test_a_range_is_served_on_ports_in_a_row(bench: Bench) -> None:
    ports = [{"containerPortRange": "8000-8002"}, {"containerPortRange": "9000-9009", "protocol": "udp"}]
    tasks = [bench.run(bench.container("web", "sh", "-c", SERVE, portMappings=ports))[0] for _ in range(2)]
    seen = set()
    for task_id in tasks:
        report = bench.plane.wait_for_report(task_id, "RUNNING")
        web, udp = report["containers"][0]["networkBindings"]
        assert (web["containerPortRange"], web["protocol"]) == ("8000-8002", "tcp")
        assert (udp["containerPortRange"], udp["protocol"]) == ("9000-9009", "udp")
        first, last = (int(port) for port in web["hostPortRange"].split("-"))
        for port in range(first, last + 1):
            assert served(f"http://127.0.0.1:{port}/") == b"hello from berth\n"
            seen.add(port)
    assert len(seen) == 6


def test_an_engine_without_nvidias_driver_fails_the_task_and_says_why(bench: Bench) -> None:
    gpu = {"type": "gpu", "name": "TEST-GPU-0", "containers": ["c"]}
    task_id, _ = bench.run(bench.container("c", "sleep", "600"), associations=[gpu])
    report = bench.plane.wait_for_report(task_id, "STOPPED")
    reason = report["containers"][0]["reason"]
    assert reason.startswith("CannotStartContainerError")
    assert 'could not select device driver "nvidia"' in reason
    [registration] = bench.plane.calls("RegisterContainerInstance")
    offered = {resource["name"]: resource for resource in registration["totalResources"]}
    assert offered["GPU"]["stringSetValue"] == ["TEST-GPU-0"]
