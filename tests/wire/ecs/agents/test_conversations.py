"""Conversations: an agent is told each wish once, in frames of bounded size, and of nothing that is over."""

import json
from typing import Any

import pytest
from sqlalchemy import event

from orchestrator.agents import conversation
from orchestrator.agents.conversation import Conversation
from tests.support.tasks import SMALL, TasksPlane


def talk(plane: TasksPlane, host: str) -> Conversation:
    return Conversation(plane.store, plane.clock, plane.settings, host.rsplit("/", 1)[-1])


def told(frames: list[str]) -> dict[str, str]:
    """What frames of payloads wish, by task."""
    tasks: list[dict[str, Any]] = [task for frame in frames for task in json.loads(frame)["message"]["tasks"]]
    return {task["arn"]: task["desiredStatus"] for task in tasks}


def test_each_wish_is_told_once_a_connection(plane: TasksPlane) -> None:
    host = plane.add_host()
    plane.register()
    first, second = (plane.run()["taskArn"] for _ in range(2))
    line = talk(plane, host)

    assert told(line.news()) == {first: "RUNNING", second: "RUNNING"}
    assert line.news() == []

    plane.report(first, "RUNNING")
    assert line.news() == [], "what an agent said itself is no news to it"

    third = plane.run()["taskArn"]
    plane.ecs.stop_task(task=first)
    assert told(line.news()) == {first: "STOPPED", third: "RUNNING"}
    assert line.news() == []

    assert told(talk(plane, host).news()) == {first: "STOPPED", second: "RUNNING", third: "RUNNING"}


def test_tasks_are_read_only_when_something_of_the_host_has_changed(plane: TasksPlane) -> None:
    host = plane.add_host()
    plane.register()
    task = plane.run()["taskArn"]
    line = talk(plane, host)
    assert told(line.news()) == {task: "RUNNING"}
    statements: list[str] = []
    event.listen(plane.store.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))

    assert line.news() == []
    assert statements
    assert not any("FROM tasks" in statement for statement in statements)

    plane.ecs.stop_task(task=task)
    assert told(line.news()) == {task: "STOPPED"}


def test_what_is_over_is_told_no_more(plane: TasksPlane) -> None:
    host = plane.add_host()
    plane.register()
    over, runs = (plane.run()["taskArn"] for _ in range(2))
    plane.report(over, "STOPPED")

    assert told(talk(plane, host).news()) == {runs: "RUNNING"}
    manifest = json.loads(talk(plane, host).opening())["message"]["tasks"]
    assert [task["taskArn"] for task in manifest] == [runs]


def test_no_frame_is_larger_than_an_agent_need_take(plane: TasksPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "LARGEST_FRAME", 10_000)
    host = plane.add_host(cpu=65536, memory=65536)
    plane.register("small")
    plane.register("large", {**SMALL, "command": ["x" * 20_000]})
    arns = {plane.run("small")["taskArn"] for _ in range(12)} | {plane.run("large")["taskArn"]}

    frames = talk(plane, host).news()

    assert told(frames) == dict.fromkeys(arns, "RUNNING")
    sizes = sorted(len(json.loads(frame)["message"]["tasks"]) for frame in frames)
    assert len(frames) >= 2 and sizes[-1] > 1, "small tasks share a frame"
    assert all(len(frame) < 11_000 or len(json.loads(frame)["message"]["tasks"]) == 1 for frame in frames)
    ids = {json.loads(frame)["message"]["messageId"] for frame in frames}
    assert len(ids) == len(frames), "each is acknowledged by itself"


def test_remembering_what_was_told_takes_a_few_bytes_a_task(plane: TasksPlane) -> None:
    host = plane.add_host(cpu=65536, memory=65536)
    plane.register()
    for _ in range(4):
        plane.ecs.run_task(taskDefinition="t", count=10)
    line = talk(plane, host)

    assert len(told(line.news())) == 40
    assert line._sent.itemsize * len(line._sent) == 40 * 8


def test_a_host_that_was_deregistered_is_hung_up_on(plane: TasksPlane) -> None:
    host = plane.add_host()
    line = talk(plane, host)
    plane.ecs.deregister_container_instance(containerInstance=host, force=True)

    assert line.news() == []
    assert line.closed


def test_only_what_should_not_run_is_stopped(plane: TasksPlane) -> None:
    host = plane.add_host()
    plane.register()
    runs, stopping = (plane.run()["taskArn"] for _ in range(2))
    plane.ecs.stop_task(task=stopping)
    candidates = [{"taskArn": arn} for arn in (runs, stopping, "arn:aws:ecs:us-east-1:1:task/default/nobody")]

    message = {"messageId": "m", "stopCandidates": candidates}
    answer = talk(plane, host).answer(json.dumps({"type": "TaskStopVerificationMessage", "message": message}))

    assert answer is not None
    assert json.loads(answer)["message"]["stopTasks"] == candidates[1:]
