"""Restart policies: in place, counted once, never against a stop, and through kills of the agent at any step."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.control.usage import UsageMeter
from agent.runtime import ContainerState, Refused, Status, Temporary
from agent.runtime.simulated import Program
from agent.tasks.files import TaskFiles
from agent.tasks.model import Phase
from agent.tasks.reading import BadPayload
from agent.tasks.restarting import RestartPolicy, read_restart_policy
from tests.support.agent_process import container
from tests.unit.agent.host import MemoryHost

NAME = "ecs-t1-c"


def policy(period: int = 60, **members: Any) -> dict[str, Any]:
    return {"restartPolicy": {"enabled": True, "restartAttemptPeriod": period, **members}}


def counted(host: MemoryHost) -> int:
    [task] = host.engine.tasks()
    return task.containers["c"].restart_count


def ended(seconds: float, code: int = 1, error: str = "") -> ContainerState:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    return ContainerState(
        id="1",
        name="c",
        labels={},
        status=Status.EXITED,
        exit_code=code,
        error=error,
        started_at=start,
        finished_at=start + timedelta(seconds=seconds),
    )


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        (ended(60), True),
        (ended(59.9), False),
        (ended(61, code=0), True),
        (ended(61, code=7), False),
        (ended(61, error="no such program"), False),
        (ended(-3600), True),
    ],
)
def test_a_run_that_lasted_is_followed_by_another_unless_its_code_is_ignored(
    state: ContainerState, wanted: bool
) -> None:
    assert RestartPolicy(ignored_exit_codes=frozenset({7}), period=timedelta(seconds=60)).wants(state) is wanted


@pytest.mark.parametrize(
    "members",
    [{"ignoredExitCodes": ["1"]}, {"ignoredExitCodes": 1}, {"restartAttemptPeriod": -1}, {"enabled": "yes"}],
)
def test_a_policy_that_makes_no_sense_is_named(members: dict[str, Any]) -> None:
    with pytest.raises(BadPayload, match=r"c\.restartPolicy"):
        read_restart_policy({"restartPolicy": {"enabled": True, **members}}, "c")


def test_a_policy_that_is_not_enabled_is_none() -> None:
    assert read_restart_policy({"restartPolicy": {"enabled": False}}, "c") is None


def test_an_essential_container_is_started_again_and_its_task_stays_running(host: MemoryHost) -> None:
    host.run("t1", container("c", "job", **policy(5)))
    for count in (1, 2):
        host.tick(10)
        assert host.status("t1") is Phase.RUNNING
        assert host.runtime.starts_of(NAME) == 1 + count
        assert counted(host) == count
    assert [report.status for report in host.reports.all] == [Phase.RUNNING]


def test_a_container_that_ended_too_soon_is_over(host: MemoryHost) -> None:
    host.run("t1", container("c", "failing", **policy(60)))
    host.tick(2)
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "c").exit_code == 3


def test_an_ignored_exit_code_ends_it(host: MemoryHost) -> None:
    host.run("t1", container("c", "job", **policy(5, ignoredExitCodes=[0])))
    host.tick(10)
    assert host.status("t1") is Phase.STOPPED


def test_a_task_that_is_told_to_stop_is_not_restarted(host: MemoryHost) -> None:
    spec = container("c", "server", **policy(5))
    host.run("t1", spec)
    host.clock.tick(seconds=30)
    host.stop("t1", spec)
    assert host.status("t1") is Phase.STOPPED
    assert host.running() == []


def test_a_stop_while_the_restart_waits_for_the_engine_wins(host: MemoryHost) -> None:
    spec = container("c", "job", **policy(5))
    host.run("t1", spec)
    host.runtime.fail_next("start", Temporary("away"))
    host.tick(10)
    host.stop("t1", spec)
    host.tick(60)
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "c").exit_code == 0


def test_a_restart_that_fails_ends_the_container_and_says_why(host: MemoryHost) -> None:
    host.run("t1", container("c", "job", **policy(5)))
    host.runtime.fail_next("start", Refused("no such device"))
    host.tick(10)
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "c").reason == "CannotStartContainerError: no such device"


def test_ports_of_the_new_run_are_reported(host: MemoryHost) -> None:
    host.run("t1", container("c", "job", portMappings=[{"containerPort": 80}], **policy(5)))
    before = host.seen("t1", "c").bindings
    host.tick(10)
    after = host.seen("t1", "c").bindings
    assert host.status("t1") is Phase.RUNNING
    assert after and after != before


@pytest.mark.parametrize("steps", range(10))
def test_a_kill_at_any_step_of_a_restart_neither_loses_nor_doubles_it(host: MemoryHost, steps: int) -> None:
    host.run("t1", container("c", "job", **policy(5)))
    host.clock.tick(seconds=10)
    host.runtime.settle()
    for _ in range(steps):
        host.engine.step()
        host.executor.step()
    host.restart()
    assert host.runtime.starts_of(NAME) == 2
    assert counted(host) == 1
    host.tick(10)
    assert counted(host) == 2
    assert host.status("t1") is Phase.RUNNING


def test_an_end_while_the_agent_was_away_is_followed_by_a_restart(host: MemoryHost) -> None:
    host.run("t1", container("c", "job", **policy(5)))
    host.crash()
    host.clock.tick(seconds=100)
    host.runtime.settle()
    host.boot()
    host.settle()
    assert host.runtime.starts_of(NAME) == 2
    assert host.status("t1") is Phase.RUNNING


def test_restarts_are_told_to_telemetry(host: MemoryHost) -> None:
    host.runtime.programs["job"] = Program(lasts=timedelta(seconds=10))
    host.run("t1", container("c", "job", **policy(5)))
    host.tick(10)
    [task] = UsageMeter(runtime=host.runtime, cpus=1).measure(host.engine.tasks(), host.clock.now())
    assert task["containerMetrics"][0]["restartStatsSet"] == {"restartCount": 1}


def test_a_full_disk_does_not_keep_a_container_down(host: MemoryHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run("t1", container("c", "job", **policy(5)))

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TaskFiles, "save", refuse)
    host.tick(10)
    assert host.runtime.starts_of(NAME) == 2
    monkeypatch.undo()
    host.tick(10)
    assert counted(host) == 2
    assert host.status("t1") is Phase.RUNNING
