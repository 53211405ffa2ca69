"""Starting tasks: order, conditions, failures, and payloads that come twice."""

from typing import Any

import pytest

from agent.runtime import Refused, Temporary
from agent.tasks.model import Phase
from agent.tasks.pausing import PAUSE_IMAGE
from tests.support.agent_process import container
from tests.unit.agent.host import MemoryHost


def depends(name: str, condition: str) -> dict[str, Any]:
    return {"dependsOn": [{"containerName": name, "condition": condition}]}


def test_a_task_is_reported_running_with_its_ports(host: MemoryHost) -> None:
    ports = [{"containerPort": 80, "hostPort": 0}, {"containerPort": 53, "hostPort": 5353, "protocol": "udp"}]
    host.run("t1", container("web", "server", portMappings=ports))
    web = host.seen("t1", "web")
    assert host.status("t1") is Phase.RUNNING
    assert [(b.container_port, b.host_port, b.protocol) for b in web.bindings] == [
        (80, 49153, "tcp"),
        (53, 5353, "udp"),
    ]


def test_in_host_mode_the_container_port_is_the_host_port(host: MemoryHost) -> None:
    host.run("t1", container("web", "server", portMappings=[{"containerPort": 80}]), networkMode="host")
    assert [b.host_port for b in host.seen("t1", "web").bindings] == [80]


def test_a_repeated_payload_makes_no_second_container_and_answers_again(host: MemoryHost) -> None:
    host.run("t1", container("web", "server"))
    host.run("t1", container("web", "server"))
    assert host.running() == ["web"]
    assert [report.status for report in host.reports.all] == [Phase.RUNNING, Phase.RUNNING]


def test_a_payload_is_confirmed_only_once_it_is_on_the_disk(host: MemoryHost) -> None:
    host.assign("t1", container("web", "server"))
    assert not list((host.data / "tasks").glob("*.json"))
    host.engine.step()
    [kept] = (host.data / "tasks").glob("*.json")
    assert kept.stat().st_mode & 0o777 == 0o600


def test_containers_wait_for_each_other(host: MemoryHost) -> None:
    host.run(
        "t1",
        container("app", "server", **depends("init", "SUCCESS")),
        container("init", "job", essential=False),
    )
    assert host.running() == ["init"]
    assert host.status("t1") is Phase.PENDING
    host.tick(11)
    assert host.running() == ["init", "app"]
    assert host.status("t1") is Phase.RUNNING


def test_complete_takes_any_exit_code(host: MemoryHost) -> None:
    host.run(
        "t1",
        container("app", "server", **depends("init", "COMPLETE")),
        container("init", "failing", essential=False),
    )
    host.tick(2)
    assert host.status("t1") is Phase.RUNNING
    assert host.seen("t1", "init").exit_code == 3


def test_a_failed_dependency_ends_the_task_and_says_why(host: MemoryHost) -> None:
    host.run(
        "t1",
        container("app", "server", **depends("init", "SUCCESS")),
        container("init", "failing", essential=False),
    )
    host.tick(2)
    report = host.last("t1")
    assert report
    assert report.status is Phase.STOPPED
    assert report.reason == "dependency init exited with code 3 before it was SUCCESS"


def test_healthy_waits_for_the_first_good_check(host: MemoryHost) -> None:
    checked = container("db", "checked", config={"Healthcheck": {"Test": ["CMD", "true"]}})
    host.run("t1", checked, container("app", "server", **depends("db", "HEALTHY")))
    assert host.running() == ["db"]
    host.tick(6)
    assert host.running() == ["db", "app"]
    assert host.health_news >= 2


def test_a_start_timeout_gives_up_on_a_dependency(host: MemoryHost) -> None:
    checked = container("db", "server", config={"Healthcheck": {"Test": ["CMD", "true"]}}, startTimeout=60)
    host.run("t1", checked, container("app", "server", **depends("db", "HEALTHY")))
    assert 59 < host.engine.until_due().total_seconds() <= 60
    host.tick(61)
    report = host.last("t1")
    assert report
    assert report.status is Phase.STOPPED
    assert report.reason == "dependency db was not HEALTHY within its start timeout"


@pytest.mark.parametrize(
    ("image", "reason", "code"),
    [
        ("broken", 'CannotStartContainerError: exec: "nope": executable file not found in $PATH', 127),
        ("absent", "CannotPullContainerError: manifest for absent not found: manifest unknown", None),
    ],
)
def test_what_cannot_start_stops_with_ecs_words(host: MemoryHost, image: str, reason: str, code: int | None) -> None:
    host.run("t1", container("web", image))
    report = host.last("t1")
    assert report
    assert report.status is Phase.STOPPED
    assert report.reason == host.seen("t1", "web").reason == reason
    assert host.seen("t1", "web").exit_code == code


def test_a_sidecar_that_cannot_start_leaves_the_task_running(host: MemoryHost) -> None:
    host.run("t1", container("web", "server"), container("extra", "absent", essential=False))
    assert host.status("t1") is Phase.RUNNING
    assert host.seen("t1", "extra").status is Phase.STOPPED


def test_a_refused_create_is_the_containers_reason(host: MemoryHost) -> None:
    host.runtime.fail_next("create", Refused("no space left on device"))
    host.run("t1", container("web", "server"))
    assert host.seen("t1", "web").reason == "CannotCreateContainerError: no space left on device"


@pytest.mark.parametrize("call", ["create", "start"])
def test_an_engine_that_is_away_for_a_moment_only_delays(host: MemoryHost, call: str) -> None:
    host.runtime.fail_next(call, Temporary("connection refused"))
    host.run("t1", container("web", "server"))
    assert host.status("t1") is None
    host.tick(1)
    assert host.status("t1") is Phase.RUNNING
    assert host.running() == ["web"]


def test_an_answer_lost_after_the_start_does_not_start_it_twice(host: MemoryHost) -> None:
    start = host.runtime.start

    def started_but_unheard(name: str) -> None:
        start(name)
        host.runtime.start = start  # type: ignore[method-assign]
        raise Temporary("connection reset")

    host.runtime.start = started_but_unheard  # type: ignore[method-assign]
    host.run("t1", container("web", "server"))
    host.tick(1)
    assert host.status("t1") is Phase.RUNNING
    assert host.runtime.starts_of("ecs-t1-web") == 1


def test_an_awsvpc_task_starts_behind_its_pause_container(host: MemoryHost) -> None:
    eni = {"ipv4Addresses": [{"primary": True, "privateAddress": "10.233.0.9"}]}
    host.run("t1", container("web", "server"), networkMode="awsvpc", elasticNetworkInterfaces=[eni])
    assert host.running() == ["internalecspause", "web"]
    report = host.last("t1")
    assert report
    assert [c.name for c in report.containers] == ["web"]
    host.stop("t1")
    assert host.running() == []


def test_a_task_that_cannot_start_behind_its_pause_container_never_was_running(host: MemoryHost) -> None:
    eni = {"ipv4Addresses": [{"primary": True, "privateAddress": "10.233.0.9"}]}
    host.run("t1", container("web", "absent"), networkMode="awsvpc", elasticNetworkInterfaces=[eni])
    assert host.status("t1") is Phase.STOPPED
    assert Phase.RUNNING not in [report.status for report in host.reports.all]


def test_a_removed_pause_image_is_made_again(host: MemoryHost) -> None:
    eni = {"ipv4Addresses": [{"primary": True, "privateAddress": "10.233.0.9"}]}
    host.run("t1", container("web", "server"), networkMode="awsvpc", elasticNetworkInterfaces=[eni])
    del host.runtime.programs[PAUSE_IMAGE]
    host.run("t2", container("web", "server"), networkMode="awsvpc", elasticNetworkInterfaces=[eni])
    assert host.status("t2") is Phase.RUNNING


def test_a_dead_pause_container_ends_its_task(host: MemoryHost) -> None:
    eni = {"ipv4Addresses": [{"primary": True, "privateAddress": "10.233.0.9"}]}
    host.run("t1", container("web", "server"), networkMode="awsvpc", elasticNetworkInterfaces=[eni])
    host.runtime.kill("ecs-t1-internalecspause")
    host.settle()
    report = host.last("t1")
    assert report
    assert report.status is Phase.STOPPED
    assert report.reason == "ResourceInitializationError: the task's shared namespaces have ended"


def test_an_ended_task_is_never_run_again(host: MemoryHost) -> None:
    host.run("t1", container("web", "failing"))
    host.tick(2)
    assert host.running() == []
    host.run("t1", container("web", "failing"))
    assert host.running() == []
    assert host.status("t1") is Phase.STOPPED
    host.restart()
    host.run("t1", container("web", "failing"))
    assert host.running() == []


def test_a_full_disk_delays_the_report_and_the_confirmation(host: MemoryHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agent.tasks.files.write_private", full)
    host.run("t1", container("web", "server"))
    assert host.status("t1") is None
    monkeypatch.undo()
    host.tick(2)
    assert host.status("t1") is Phase.RUNNING
