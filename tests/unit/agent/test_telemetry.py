"""Telemetry: health at once, usage as rates, the engine's state; nothing is lost by a socket that was closed."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.control.tcs import PUBLISH_EVERY, Tcs
from agent.control.usage import UsageMeter
from agent.identity import Identity
from agent.runtime import Health, Temporary, Usage
from tests.support.agent_process import container
from tests.support.fake_control_plane import INSTANCE, task_arn
from tests.unit.agent.host import MemoryHost

CHECKED = {"config": {"Healthcheck": {"Test": ["CMD", "true"]}}}


INTERFACE = {"ipv4Addresses": [{"primary": True, "privateAddress": "10.233.0.9"}]}


class Telemetry:
    def __init__(self, data: Path) -> None:
        self.host = MemoryHost(data)
        self.sent: list[tuple[str, Mapping[str, Any]]] = []
        self.tcs = Tcs(
            identity=lambda: Identity(id="a", cluster="default", token="t", container_instance=INSTANCE),
            docker_version=lambda: "20.10",
            tasks=lambda: self.host.engine.tasks(),
            meter=UsageMeter(runtime=self.host.runtime, cpus=4),
            send=self.send,
            clock=self.host.clock,
        )
        self.tcs.opened()

    def send(self, kind: str, message: Mapping[str, Any]) -> bool:
        self.sent.append((kind, message))
        return True

    def step(self) -> list[tuple[str, Mapping[str, Any]]]:
        self.sent.clear()
        self.tcs.step()
        return list(self.sent)


@pytest.fixture
def telemetry(tmp_path: Path) -> Telemetry:
    return Telemetry(tmp_path)


def test_an_idle_host_says_that_it_is_idle(telemetry: Telemetry) -> None:
    sent = dict(telemetry.step())
    assert sent["PublishMetricsRequest"]["metadata"]["idle"] is True
    assert sent["PublishInstanceStatusRequest"]["statuses"][0]["status"] == "OK"
    assert "PublishHealthRequest" not in sent
    assert telemetry.step() == []


def test_a_check_that_only_the_image_has_is_not_heard_of(telemetry: Telemetry) -> None:
    telemetry.host.run("t1", container("plain", "server"))
    telemetry.host.runtime.set_health("ecs-t1-plain", Health.HEALTHY)
    telemetry.host.settle()
    [task] = telemetry.host.engine.tasks()
    assert task.containers["plain"].health is None


def test_usage_is_published_as_a_rate_every_twenty_seconds(telemetry: Telemetry) -> None:
    telemetry.host.run("t1", container("web", "server"))
    telemetry.step()
    telemetry.host.clock.tick(seconds=PUBLISH_EVERY.total_seconds())
    [(kind, message)] = telemetry.step()
    assert kind == "PublishMetricsRequest"
    [task] = message["taskMetrics"]
    [web] = task["containerMetrics"]
    assert task["taskArn"] == task_arn("t1")
    assert web["memoryStatsSet"] == {"min": 16.0, "max": 16.0, "sum": 16.0, "sampleCount": 1}
    # A tenth of a core, on a host of four.
    assert web["cpuStatsSet"]["sum"] == pytest.approx(2.5)


def test_health_is_published_when_it_changes_and_not_otherwise(telemetry: Telemetry) -> None:
    telemetry.host.run("t1", container("web", "server", **CHECKED), container("plain", "server"))
    telemetry.step()
    telemetry.host.runtime.set_health("ecs-t1-web", Health.UNHEALTHY)
    telemetry.host.settle()
    telemetry.tcs.health_changed()
    [(kind, message)] = telemetry.step()
    assert kind == "PublishHealthRequest"
    [task] = message["tasks"]
    [web] = task["containers"]
    assert (web["containerName"], web["healthStatus"]) == ("web", "UNHEALTHY")
    assert (task["taskDefinitionFamily"], task["taskDefinitionVersion"]) == ("family", "7")
    assert telemetry.step() == []


def test_after_a_new_dial_the_newest_of_everything_is_sent_again(telemetry: Telemetry) -> None:
    telemetry.host.run("t1", container("web", "server", **CHECKED))
    telemetry.step()
    telemetry.tcs.opened()
    assert telemetry.sent[-1][0] == "StartTelemetrySessionRequest"
    kinds = [kind for kind, _ in telemetry.step()]
    assert kinds == ["PublishInstanceStatusRequest", "PublishHealthRequest", "PublishMetricsRequest"]


def test_an_engine_that_is_away_is_said_to_be_impaired(telemetry: Telemetry) -> None:
    telemetry.step()
    telemetry.tcs.runtime_changed(False)
    telemetry.tcs.runtime_changed(False)
    [(_, message)] = telemetry.step()
    assert message["statuses"][0] | {"lastUpdated": 0, "lastStatusChange": 0} == {
        "type": "CONTAINER_RUNTIME",
        "status": "IMPAIRED",
        "lastUpdated": 0,
        "lastStatusChange": 0,
    }


def test_the_traffic_of_a_task_is_told_once_among_its_containers(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = Usage(cpu_ns=0, memory_bytes=0, rx_bytes=1000, tx_bytes=500)
    monkeypatch.setattr(telemetry.host.runtime, "stats", lambda container: used)
    both = (container("web", "server"), container("side", "server"))
    telemetry.host.run("t1", *both, networkMode="awsvpc", elasticNetworkInterfaces=[INTERFACE])
    telemetry.host.run("t2", *both)
    told = {
        task["taskArn"]: [c["networkStatsSet"]["rxBytes"]["sum"] for c in task["containerMetrics"]]
        for task in dict(telemetry.step())["PublishMetricsRequest"]["taskMetrics"]
    }
    assert told == {task_arn("t1"): [500, 500], task_arn("t2"): [1000, 1000]}


def test_a_container_that_cannot_be_measured_is_left_out(telemetry: Telemetry) -> None:
    telemetry.host.run("t1", container("web", "server"))
    telemetry.host.runtime.fail_next("stats", Temporary("away"))
    sent = dict(telemetry.step())
    assert sent["PublishMetricsRequest"]["taskMetrics"] == []


def test_only_a_close_ends_the_socket(telemetry: Telemetry) -> None:
    assert telemetry.tcs.received("AckPublishMetric", {})
    assert telemetry.tcs.received("InvalidParameterException", {"message": "no"})
    assert not telemetry.tcs.received("CloseMessage", {})
    assert timedelta(seconds=30) >= PUBLISH_EVERY
