"""Ending tasks: exits, stops in reverse order, what is reported when, and that nothing is left."""

from datetime import timedelta

import pytest

from agent.runtime import Cancelled, Refused, Temporary
from agent.tasks import messages as m
from agent.tasks.files import TaskFiles
from agent.tasks.model import Phase, Task
from tests.support.agent_process import awslogs, container
from tests.support.fake_control_plane import task_arn
from tests.unit.agent.host import MemoryHost


def test_an_essential_exit_stops_the_rest(host: MemoryHost) -> None:
    host.run("t1", container("job", "failing"), container("web", "server"))
    host.tick(2)
    report = host.last("t1")
    assert report
    assert report.status is Phase.STOPPED
    assert report.reason == "Essential container in task exited"
    assert host.seen("t1", "job").exit_code == 3
    assert host.seen("t1", "web").exit_code == 143
    assert report.stopped_at == host.clock.now()
    assert host.running() == []


def test_a_sidecars_exit_is_reported_while_the_task_runs_on(host: MemoryHost) -> None:
    host.run("t1", container("web", "server"), container("side", "failing", essential=False))
    host.tick(2)
    assert host.status("t1") is Phase.RUNNING
    assert host.seen("t1", "side").status is Phase.STOPPED
    assert host.seen("t1", "side").exit_code == 3


def test_running_out_of_memory_is_named(host: MemoryHost) -> None:
    host.run("t1", container("job", "greedy"))
    host.tick(2)
    assert host.seen("t1", "job").reason == "OutOfMemoryError: Container killed due to memory usage"
    assert host.seen("t1", "job").exit_code == 137


def test_containers_stop_in_reverse_order(host: MemoryHost) -> None:
    order: list[str] = []
    stop = host.runtime.stop

    def noted(name: str, grace: object) -> None:
        order.append(host.runtime.inspect(name).name)
        stop(name, grace)  # type: ignore[arg-type]

    host.runtime.stop = noted  # type: ignore[method-assign,assignment]
    after = {"dependsOn": [{"containerName": "db", "condition": "START"}]}
    host.run("t1", container("db", "server"), container("app", "server", **after))
    host.stop("t1")
    assert order == ["ecs-t1-app", "ecs-t1-db"]
    assert host.status("t1") is Phase.STOPPED


def test_a_stop_for_an_unknown_task_reports_it_stopped(host: MemoryHost) -> None:
    host.stop("never-seen", container("web", "server"))
    assert host.status("never-seen") is Phase.STOPPED
    assert host.running() == []
    assert not list((host.data / "tasks").glob("*.json"))


def test_an_older_stop_does_not_stop_a_newer_task(host: MemoryHost) -> None:
    host.run("t1", container("web", "server"), seq=5)
    host.stop("t1", container("web", "server"), seq=4)
    assert host.status("t1") is Phase.RUNNING


def test_a_stop_before_the_launch_has_begun_starts_nothing(host: MemoryHost) -> None:
    host.assign("t1", container("web", "server"))
    host.engine.step()
    host.assign("t1", container("web", "server"), desiredStatus="STOPPED", seq=2)
    host.engine.step()
    host.settle()
    assert host.status("t1") is Phase.STOPPED
    assert host.running() == []


def test_a_stop_is_repeated_until_the_engine_hears_it(host: MemoryHost) -> None:
    host.run("t1", container("web", "server"))
    host.runtime.fail_next("stop", Temporary("away"))
    host.stop("t1")
    assert host.status("t1") is Phase.RUNNING
    host.tick(1)
    assert host.status("t1") is Phase.STOPPED


def test_a_refused_stop_becomes_a_kill(host: MemoryHost) -> None:
    host.run("t1", container("web", "server"))
    host.runtime.fail_next("stop", Refused("cannot stop container: tried to kill, but did not exit"))
    host.stop("t1")
    assert host.seen("t1", "web").exit_code == 137


def test_containers_stay_until_their_end_is_acknowledged(host: MemoryHost) -> None:
    host.reports.acknowledge = False
    host.run("t1", container("job", "failing"))
    host.tick(2)
    assert host.status("t1") is Phase.STOPPED
    assert host.running() == ["job"]
    report = host.last("t1")
    assert report
    host.engine.post(m.Acknowledged(report))
    host.settle()
    assert host.running() == []
    assert host.engine.tasks() == ()


def test_a_removal_is_repeated_until_nothing_is_left(host: MemoryHost) -> None:
    host.run("t1", container("job", "failing"))
    host.runtime.fail_next("remove", Refused("device or resource busy"))
    host.tick(2)
    assert host.running() == ["job"]
    host.tick(1)
    assert host.running() == []


def test_a_task_that_a_full_disk_keeps_from_being_forgotten_is_forgotten_later(
    host: MemoryHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(files: TaskFiles, task: Task) -> None:
        raise OSError(28, "No space left on device")

    host.run("t1", container("job", "failing"))
    with monkeypatch.context() as patched:
        patched.setattr(TaskFiles, "end", full)
        host.tick(2)
    assert [task.arn for task in host.engine.tasks()] == [task_arn("t1")]
    host.tick(1)
    assert host.engine.tasks() == ()
    host.restart()
    assert host.engine.tasks() == ()


def test_stopped_is_said_only_when_the_log_is_out(host: MemoryHost) -> None:
    host.logs.hold = True
    host.run("t1", container("job", "failing", hostConfig=awslogs(group="g")))
    assert host.logs.followed == ["job"]
    host.tick(2)
    assert host.status("t1") is Phase.RUNNING
    host.logs.let_out()
    host.settle()
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "job").exit_code == 3


def test_what_the_manifest_lacks_is_a_candidate_and_stops_when_told(host: MemoryHost) -> None:
    host.run("kept", container("web", "server"))
    host.run("lost", container("web", "server"))
    asked: list[tuple[str, ...]] = []
    host.engine.post(m.Manifest(running=frozenset({task_arn("kept")}), answer=asked.append))
    host.settle()
    assert asked == [(task_arn("lost"),)]
    assert host.status("lost") is Phase.RUNNING
    host.engine.post(m.StopThese(tasks=(task_arn("lost"), task_arn("unheard-of"))))
    host.settle()
    assert host.status("lost") is Phase.STOPPED
    assert host.status("kept") is Phase.RUNNING


def test_a_container_removed_behind_the_agents_back_ends_its_task(host: MemoryHost) -> None:
    host.run("t1", container("web", "server"))
    host.runtime.remove("ecs-t1-web")
    host.settle()
    report = host.last("t1")
    assert report
    assert report.status is Phase.STOPPED


def test_a_start_whose_answer_was_lost_is_stopped_before_the_task_is_over(
    host: MemoryHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = host.runtime.start

    def start_and_lose_the_answer(name: str) -> None:
        start(name)
        raise Temporary("no answer")

    monkeypatch.setattr(host.runtime, "start", start_and_lose_the_answer)
    web = container("web", "server")
    host.run("t1", web)
    assert host.status("t1") is None
    host.runtime.go_away()
    host.stop("t1")
    assert host.status("t1") is None
    host.runtime.come_back()
    host.tick(60)
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "web").exit_code == 143


def test_a_container_that_was_never_made_ends_with_its_task(host: MemoryHost) -> None:
    host.runtime.fail_next("create", Temporary("connection refused"))
    web = container("web", "server")
    host.run("t1", web)
    host.stop("t1")
    host.tick(60)
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "web").reason == ""


def test_a_stop_goes_on_with_what_is_left_of_its_time_after_a_kill_of_the_agent(host: MemoryHost) -> None:
    graces: list[float] = []
    stop = host.runtime.stop

    def noted(name: str, grace: timedelta) -> None:
        graces.append(grace.total_seconds())
        stop(name, grace)

    host.runtime.stop = noted  # type: ignore[method-assign]
    patient = container("c", "server", stopTimeout=7200)
    host.run("t1", patient)
    host.assign("t1", patient, desiredStatus="STOPPED", seq=2)
    host.engine.step()
    host.crash()
    host.clock.tick(hours=1)
    host.boot()
    host.settle()
    assert graces == [3600]
    assert host.status("t1") is Phase.STOPPED


def test_a_stop_during_a_pull_gives_the_pull_up_and_starts_nothing(host: MemoryHost) -> None:
    spec = container("c", "far/away:1")
    given_up: list[bool] = []

    def pull(image: str, login: object, cancelled: Cancelled) -> str | None:
        host.assign("t1", spec, desiredStatus="STOPPED", seq=2)
        host.engine.step()
        given_up.append(cancelled())
        raise Refused(f"the pull of {image} was given up: the task was stopped")

    host.runtime.pull = pull  # type: ignore[method-assign,assignment]
    host.run("t1", spec)
    assert given_up == [True]
    assert host.status("t1") is Phase.STOPPED
    assert host.running() == []
