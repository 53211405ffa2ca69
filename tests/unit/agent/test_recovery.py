"""Restarts at any moment: what runs is adopted, what ended is reported, nothing is started twice."""

import os
from pathlib import Path

import pytest

from agent.identity import DataLock
from agent.images import PullBehavior
from agent.runtime import Temporary
from agent.tasks import messages as m
from agent.tasks.files import TaskFiles
from agent.tasks.model import Phase, task_of
from agent.tasks.payload import read_task
from tests.support.agent_process import container
from tests.support.fake_control_plane import task_arn
from tests.unit.agent.host import MemoryHost


def test_running_containers_are_adopted_and_none_is_restarted(host: MemoryHost) -> None:
    host.run("t1", container("web", "server", portMappings=[{"containerPort": 80}]))
    before = host.last("t1")
    host.restart()
    assert host.last("t1") == before
    assert len(host.reports.all) == 2
    assert host.runtime.starts_of("ecs-t1-web") == 1


def test_an_exit_while_the_agent_was_away_is_reported_with_its_code_and_time(host: MemoryHost) -> None:
    host.run("t1", container("job", "failing"))
    host.crash()
    host.clock.tick(seconds=5)
    host.runtime.settle()
    ended_at = host.clock.now()
    host.clock.tick(seconds=60)
    host.boot()
    host.settle()
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "job").exit_code == 3
    assert host.last("t1").stopped_at == ended_at


@pytest.mark.parametrize("steps", range(12))
def test_a_crash_after_any_step_neither_loses_nor_doubles_a_task(host: MemoryHost, steps: int) -> None:
    host.assign("t1", container("job", "failing"), container("web", "server"))
    for _ in range(steps):
        host.engine.step()
        host.executor.step()
    host.restart()
    # The control plane repeats a payload that was not acknowledged.
    host.run("t1", container("job", "failing"), container("web", "server"))
    assert all(host.runtime.starts_of(f"ecs-t1-{name}") == 1 for name in ("job", "web"))
    host.tick(5)
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "job").exit_code == 3
    assert host.running() == []


@pytest.mark.parametrize("steps", range(10))
def test_a_crash_after_any_step_of_the_end_still_reports_it(host: MemoryHost, steps: int) -> None:
    host.reports.acknowledge = False
    host.run("t1", container("job", "failing"), container("web", "server"))
    host.clock.tick(seconds=2)
    host.runtime.settle()
    for _ in range(steps):
        host.engine.step()
        host.executor.step()
    host.reports.acknowledge = True
    host.restart()
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "job").exit_code == 3
    report = host.last("t1")
    assert report
    assert report.reason == "Essential container in task exited"
    assert host.running() == []


def test_a_failed_pull_is_not_tried_again_after_a_restart(tmp_path: Path) -> None:
    host = MemoryHost(tmp_path, behavior=PullBehavior.ALWAYS)
    host.reports.acknowledge = False
    host.run("t1", container("web", "absent"))
    host.runtime.registry["absent"] = ("sha256:1", host.runtime.programs["server"])
    host.restart()
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "web").reason.startswith("CannotPullContainerError: ")
    assert host.runtime.pulls == []


def test_a_container_that_vanished_while_the_agent_was_away_ends_its_task(host: MemoryHost) -> None:
    host.run("t1", container("web", "server"))
    host.crash()
    host.runtime.remove("ecs-t1-web")
    host.boot()
    host.settle()
    assert host.status("t1") is Phase.STOPPED
    assert "removed behind the agent's back" in host.seen("t1", "web").reason


def test_containers_without_a_payload_wait_for_the_manifests_word(host: MemoryHost) -> None:
    host.run("t1", container("web", "server"))
    host.crash()
    for kept in (host.data / "tasks").glob("*.json"):
        kept.unlink()
    host.boot()
    host.settle()
    asked: list[tuple[str, ...]] = []
    host.engine.post(m.Manifest(running=frozenset(), answer=asked.append))
    host.settle()
    assert asked == [(task_arn("t1"),)]
    assert host.running() == ["web"]
    host.engine.post(m.StopThese(tasks=(task_arn("t1"),)))
    host.settle()
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "web").exit_code == 143
    assert host.running() == []


def test_a_payload_that_comes_again_takes_its_stray_containers_over(host: MemoryHost) -> None:
    host.run("t1", container("web", "server"))
    host.crash()
    for kept in (host.data / "tasks").glob("*.json"):
        kept.unlink()
    host.boot()
    host.run("t1", container("web", "server"))
    assert host.runtime.starts_of("ecs-t1-web") == 1
    assert host.status("t1") is Phase.RUNNING


def test_an_unreadable_task_file_is_set_aside(host: MemoryHost) -> None:
    host.run("t1", container("web", "server"))
    host.crash()
    [kept] = (host.data / "tasks").glob("*.json")
    kept.write_text('{"half')
    host.boot()
    host.settle()
    assert [path.suffix for path in (host.data / "tasks").iterdir()] == [".unreadable"]
    assert host.running() == ["web"]


def test_an_engine_that_comes_back_is_looked_over(host: MemoryHost) -> None:
    host.run("t1", container("job", "failing"))
    host.runtime.go_away()
    host.settle()
    assert host.runtime_states == [False]
    host.clock.tick(seconds=5)
    host.runtime.settle()
    host.settle()
    assert host.status("t1") is Phase.RUNNING
    host.runtime.come_back()
    host.settle()
    assert host.runtime_states == [False, True]
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "job").exit_code == 3


def test_what_an_agent_remembers_is_its_owners_alone_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        data = tmp_path / "agent"
        lock = DataLock(data)
        files = TaskFiles(data)
        task = task_of(read_task({"arn": "a:task/c/1", "desiredStatus": "STOPPED"}, seq=1, cluster="c"))
        files.save(task, {}, sync=False)
        modes = {path.stat().st_mode & 0o077 for path in (data, *data.rglob("*"))}
        files.end(task)
        lock.release()
    finally:
        os.umask(before)

    assert modes | {path.stat().st_mode & 0o077 for path in data.rglob("*")} == {0}


def test_a_container_made_and_never_started_ends_with_its_task(host: MemoryHost) -> None:
    """The agent was killed between the two, and the task is stopped before the container is started."""
    host.assign("t1", container("web", "server"))
    host.runtime.fail_next("start", Temporary("away"))
    host.settle()
    host.crash()
    host.boot()
    host.stop("t1", container("web", "server"))
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "web").exit_code is None
    assert host.running() == []
