"""Reports: absolute, the newest only, never lost, and dropped only when they can never be taken."""

from datetime import UTC, datetime

import pytest

from agent.control.reporter import Reporter
from agent.runtime import PortBinding
from agent.tasks import messages as m
from agent.tasks.model import Phase
from agent.tasks.reports import ContainerReport, Report, render_report
from kit.clock import ManualClock
from tests.unit.agent.calls import FakeCalls

WEB = ContainerReport(name="web", status=Phase.RUNNING, runtime_id="r1")


def report(status: Phase = Phase.RUNNING, *containers: ContainerReport, task: str = "t1") -> Report:
    return Report(task=task, cluster="c", status=status, containers=containers or (WEB,))


class Desk:
    def __init__(self) -> None:
        self.calls = FakeCalls()
        self.posted: list[m.Message] = []
        self.reporter = Reporter(aws=self.calls, clock=ManualClock(), post=self.posted.append)
        self.reporter.open()

    def statuses(self) -> list[str]:
        return [body["status"] for body in self.calls.bodies("SubmitTaskStateChange")]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_of_what_waits_only_the_newest_is_sent(desk: Desk) -> None:
    desk.reporter.offer(report(Phase.RUNNING))
    desk.reporter.offer(report(Phase.STOPPED))
    assert desk.reporter.step()
    assert not desk.reporter.step()
    assert desk.statuses() == ["STOPPED"]
    assert desk.posted == [m.Acknowledged(report(Phase.STOPPED))]


def test_nothing_is_sent_before_the_agent_has_registered() -> None:
    desk = Desk()
    desk.reporter = Reporter(aws=desk.calls, clock=ManualClock(), post=desk.posted.append)
    desk.reporter.offer(report())
    assert not desk.reporter.step()
    desk.reporter.open()
    assert desk.reporter.step()


def test_a_report_is_kept_while_the_control_plane_is_away(desk: Desk) -> None:
    desk.calls.away = True
    desk.reporter.offer(report())
    assert not desk.reporter.step()
    assert not desk.reporter.step()
    assert desk.posted == []
    desk.calls.away = False
    assert desk.reporter.step()
    assert desk.statuses() == ["RUNNING"]


def test_tasks_keep_their_turns_while_the_control_plane_is_away(desk: Desk) -> None:
    desk.calls.away = True
    for task in ("t1", "t2", "t3"):
        desk.reporter.offer(report(task=task))
    assert not any(desk.reporter.step() for _ in range(5))
    desk.reporter.offer(report(Phase.STOPPED, task="t1"))
    assert not any(desk.reporter.step() for _ in range(5))
    desk.calls.away = False
    assert all(desk.reporter.step() for _ in range(3))
    told = [(body["task"], body["status"]) for body in desk.calls.bodies("SubmitTaskStateChange")]
    assert told == [("t2", "RUNNING"), ("t3", "RUNNING"), ("t1", "STOPPED")]


def test_what_is_not_taken_for_now_lets_others_pass(desk: Desk) -> None:
    desk.calls.refuse("SubmitTaskStateChange", "ServerException", status=500)
    desk.reporter.offer(report(task="t1"))
    desk.reporter.offer(report(task="t2"))
    assert [desk.reporter.step() for _ in range(3)] == [False, True, True]
    assert [body["task"] for body in desk.calls.bodies("SubmitTaskStateChange")] == ["t2", "t1"]


def test_a_newer_report_replaces_one_whose_sending_failed(desk: Desk) -> None:
    desk.calls.refuse("SubmitTaskStateChange", "ServerException", status=500)
    desk.reporter.offer(report(Phase.RUNNING))
    assert not desk.reporter.step()
    desk.reporter.offer(report(Phase.STOPPED))
    assert desk.reporter.step()
    assert desk.statuses() == ["STOPPED"]


@pytest.mark.parametrize("code", ["ThrottlingException", "InvalidSignatureException", "ExpiredTokenException"])
def test_what_may_pass_later_is_repeated(desk: Desk, code: str) -> None:
    desk.calls.refuse("SubmitTaskStateChange", code)
    desk.reporter.offer(report())
    assert not desk.reporter.step()
    assert desk.reporter.step()


def test_a_task_the_control_plane_does_not_know_is_let_go(desk: Desk) -> None:
    desk.calls.refuse("SubmitTaskStateChange", "InvalidParameterException", "The referenced task was not found.")
    desk.reporter.offer(report(Phase.STOPPED))
    assert desk.reporter.step()
    assert desk.posted == [m.Acknowledged(report(Phase.STOPPED))]


def test_before_the_task_runs_its_containers_are_reported_singly_and_once(desk: Desk) -> None:
    pending = ContainerReport(name="app", status=Phase.PENDING)
    desk.reporter.offer(report(Phase.PENDING, WEB, pending))
    desk.reporter.step()
    desk.reporter.offer(report(Phase.PENDING, WEB, ContainerReport(name="app", status=Phase.RUNNING)))
    desk.reporter.step()
    bodies = desk.calls.bodies("SubmitContainerStateChange")
    assert [(body["containerName"], body["status"]) for body in bodies] == [("web", "RUNNING"), ("app", "RUNNING")]


def test_a_report_says_everything_in_the_protocols_words() -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    web = ContainerReport(
        name="web",
        status=Phase.STOPPED,
        runtime_id="r1",
        digest="sha256:1",
        exit_code=0,
        reason="why",
        bindings=(PortBinding(container_port=80, host_port=8080),),
    )
    body = render_report(
        Report(task="t", cluster="c", status=Phase.STOPPED, reason="over", containers=(web,), stopped_at=at)
    )
    assert body == {
        "cluster": "c",
        "task": "t",
        "status": "STOPPED",
        "reason": "over",
        "executionStoppedAt": at.timestamp(),
        "containers": [
            {
                "containerName": "web",
                "status": "STOPPED",
                "runtimeId": "r1",
                "imageDigest": "sha256:1",
                "exitCode": 0,
                "reason": "why",
                "networkBindings": [{"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 8080, "protocol": "tcp"}],
            }
        ],
    }
