"""A machine that has no threads to give for a while: what needed one is done later, and nobody waits for ever."""

import threading
from pathlib import Path

import pytest

from agent.exec.sessions import ExecSessions
from agent.executor import ThreadExecutor
from agent.identity import Identity
from agent.images import Images
from agent.logs.cursor import CursorFiles
from agent.logs.shipper import LogShipper
from agent.runtime.simulated import Program, SimulatedRuntime
from agent.tasks.payload import read_task
from agent.tasks.spec import ContainerSpec
from kit.clock import ManualClock
from tests.support.agent_process import awslogs, container, task
from tests.support.fake_control_plane import CLUSTER
from tests.unit.agent.calls import FakeCalls

WEB = ContainerSpec(name="c", image="web")


@pytest.fixture
def exhausted(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No thread can be made until this is undone."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    return monkeypatch


def test_an_action_is_said_to_have_failed(exhausted: pytest.MonkeyPatch) -> None:
    outcomes: list[object] = []
    ThreadExecutor().run(lambda: "done", outcomes.append)
    assert [type(outcome) for outcome in outcomes] == [RuntimeError]


def test_an_image_is_pulled_for_who_asks_later(exhausted: pytest.MonkeyPatch) -> None:
    runtime = SimulatedRuntime(clock=ManualClock())
    runtime.registry["web"] = ("sha256:1", Program())
    images = Images(runtime=runtime, clock=ManualClock())
    with pytest.raises(RuntimeError, match="new thread"):
        images.pull(WEB, "web", lambda: False)
    exhausted.undo()
    assert images.pull(WEB, "web", lambda: False) == "sha256:1"


def test_a_log_is_followed_once_it_can_be(exhausted: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock, calls = ManualClock(), FakeCalls()
    runtime = SimulatedRuntime(clock=clock, images={"web": Program(output=("line",))})
    runtime.start(made := runtime.create("web", {"Image": "web"}))
    runtime.exit(made, 0)
    logs = LogShipper(aws=calls, runtime=runtime, cursors=CursorFiles(tmp_path), clock=clock, post=lambda message: None)
    spec = read_task(task("t1", container("web", "web", hostConfig=awslogs(group="g"))), seq=1, cluster=CLUSTER)
    [web] = spec.containers
    with pytest.raises(RuntimeError, match="new thread"):
        logs.follow(spec, web, made)
    exhausted.undo()
    logs.finish(spec, web, made)
    assert logs._followers[made].ended_reading.wait(10)
    logs.ship()
    assert [event["message"] for body in calls.bodies("PutLogEvents") for event in body["logEvents"]] == ["line"]


def test_a_session_may_be_summoned_again(exhausted: pytest.MonkeyPatch) -> None:
    dialled = threading.Event()

    def dial(url: str) -> None:
        dialled.set()
        raise RuntimeError("far enough")

    clock = ManualClock()
    sessions = ExecSessions(
        runtime=SimulatedRuntime(clock=clock),
        identity=lambda: Identity(id="a", cluster="default", token="t"),
        tasks=tuple,
        dial=dial,
        clock=clock,
    )
    asked = {"sessionId": "s", "taskId": "t", "containerName": "c", "command": "sh"}
    message = {"endpoint": "http://127.0.0.1:1", "sessions": [asked]}
    with pytest.raises(RuntimeError, match="new thread"):
        sessions.summoned(message)
    exhausted.undo()
    sessions.summoned(message)
    assert dialled.wait(10)
    for thread in threading.enumerate():
        if thread.name == "session":
            thread.join(10)
