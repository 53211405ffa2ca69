"""The agents' doors: only a signature for this place opens them, and nonsense leaves no trace behind them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from starlette.websockets import WebSocket

from kit.aws.errors import AwsError
from kit.clock import ManualClock
from orchestrator.agents import tcs
from orchestrator.agents.acs import AgentSockets
from orchestrator.agents.conversation import Conversation
from orchestrator.agents.handshake import HUNG_UP, Handshake
from orchestrator.agents.presence import Presence
from orchestrator.agents.tcs import TelemetrySockets
from orchestrator.agents.usage_book import UsageBook
from state.store import StoreBusy
from tests.support.aws_requests import ROOT_KEY, signed
from tests.support.tasks import SMALL, TasksPlane

CHECKED = {**SMALL, "healthCheck": {"command": ["CMD", "true"]}}


@pytest.fixture
def plane(sqlite_url: str) -> Iterator[TasksPlane]:
    plane = TasksPlane(sqlite_url)
    yield plane
    plane.close()


@pytest.mark.parametrize(
    ("service", "region", "code"),
    [
        ("ecs", "us-east-1", "InactiveInstanceException"),
        ("ecs", "eu-west-1", "InvalidSignatureException"),
        ("ecr", "us-east-1", "InvalidSignatureException"),
        ("s3", "us-east-1", "InvalidSignatureException"),
    ],
)
def test_a_signature_for_another_place_opens_no_socket(plane: TasksPlane, service: str, region: str, code: str) -> None:
    clock = ManualClock()
    handshake = Handshake(plane.store, clock, {ROOT_KEY.access_key_id: ROOT_KEY}.get, region=region)
    request = signed(service, method="GET", path="/acs/ws", query=f"containerInstanceArn={quote('a/b')}", clock=clock)

    with pytest.raises(AwsError) as refused:
        handshake.admit(request, action="ecs:Poll", member="containerInstanceArn")

    assert refused.value.code == code


def test_who_has_hung_up_before_its_turn_costs_nothing_more(plane: TasksPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    admitted: list[Any] = []
    monkeypatch.setattr(Handshake, "admit", lambda *given, **_: admitted.append(given))
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/tcs/ws", "headers": [], "query_string": b""}
    asyncio.run(telemetry(plane).serve(WebSocket({**scope, "extensions": {HUNG_UP: lambda: True}}, receive, send)))

    assert (admitted, said) == ([], [])


def telemetry(plane: TasksPlane) -> TelemetrySockets:
    handshake = Handshake(plane.store, plane.clock, {}.get)
    return TelemetrySockets(plane.store, handshake, UsageBook(plane.store, plane.clock))


def health_status(plane: TasksPlane, host: str) -> Any:
    include = ["CONTAINER_INSTANCE_HEALTH"]
    [found] = plane.ecs.describe_container_instances(containerInstances=[host], include=include)["containerInstances"]
    return found["healthStatus"]


def test_a_host_that_was_taken_out_is_heard_no_more(plane: TasksPlane) -> None:
    host = plane.add_host()
    doors = telemetry(plane)
    plane.ecs.deregister_container_instance(containerInstance=host, force=True)

    doors.instance_status(host.rsplit("/", 1)[-1], {"statuses": [{"status": "IMPAIRED"}]})
    assert health_status(plane, host)["overallStatus"] == "OK"


@pytest.mark.parametrize("out", [True, False])
def test_the_socket_of_a_host_that_was_taken_out_is_closed_in_time(
    plane: TasksPlane, monkeypatch: pytest.MonkeyPatch, out: bool
) -> None:
    host = plane.add_host()
    monkeypatch.setattr(tcs, "ADMITTED_SECONDS", -1.0)
    monkeypatch.setattr(Handshake, "admit", lambda *_, **__: host.rsplit("/", 1)[-1])
    if out:
        plane.ecs.deregister_container_instance(containerInstance=host, force=True)

    assert closed(telemetry(plane).serve) == ([1008] if out else [])


def test_an_agent_is_not_asked_to_dial_at_once_a_store_in_trouble(
    plane: TasksPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = plane.add_host()
    handshake, presence = Handshake(plane.store, plane.clock, {}.get), Presence(plane.store, plane.clock)
    monkeypatch.setattr(handshake, "admit", lambda *_, **__: host.rsplit("/", 1)[-1])
    sockets = AgentSockets(plane.store, plane.clock, plane.settings, handshake, presence, plane.secrets)

    def note(*_: Any) -> None:
        raise StoreBusy

    monkeypatch.setattr(presence, "note", note)

    assert closed(sockets.serve) == [1013]


def closed(serve: Callable[[WebSocket], Awaitable[None]]) -> list[int]:
    """With which codes it closes the socket of an agent that says something and leaves."""
    said: list[int] = []

    async def work() -> None:
        coming: asyncio.Queue[Any] = asyncio.Queue()
        coming.put_nowait({"type": "websocket.connect"})
        coming.put_nowait({"type": "websocket.receive", "text": "{}"})
        coming.put_nowait({"type": "websocket.disconnect", "code": 1000})

        async def send(message: Any) -> None:
            if message["type"] == "websocket.close":
                said.append(message["code"])

        scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
        with contextlib.suppress(StoreBusy):
            await serve(WebSocket(scope, coming.get, send))

    asyncio.run(work())
    return said


def health_of(arn: str, status: Any) -> dict[str, Any]:
    return {"tasks": [{"taskArn": arn, "containers": [{"containerName": "main", "healthStatus": status}]}]}


def test_only_a_health_that_there_is_is_written_and_only_by_the_tasks_own_host(plane: TasksPlane) -> None:
    host = plane.add_host(**{"ecs.capability.container-health-check": ""}).rsplit("/", 1)[-1]
    plane.register("t", CHECKED)
    arn = plane.run()["taskArn"]
    doors = telemetry(plane)

    doors.health("another-host", health_of(arn, "HEALTHY"))
    doors.health(host, health_of("\0", "HEALTHY"))
    for nonsense in ("<b>", "healthy", 7, None, ["HEALTHY"]):
        doors.health(host, health_of(arn, nonsense))
    assert plane.task(arn)["healthStatus"] == "UNKNOWN"

    doors.health(host, health_of(arn, "HEALTHY"))
    assert plane.task(arn)["healthStatus"] == "HEALTHY"


def test_what_is_known_of_health_is_written_no_second_time(plane: TasksPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    host = plane.add_host(**{"ecs.capability.container-health-check": ""}).rsplit("/", 1)[-1]
    plane.register("t", CHECKED)
    arn = plane.run()["taskArn"]
    doors, written = telemetry(plane), []
    transact = plane.store.transact
    monkeypatch.setattr(plane.store, "transact", lambda work: written.append(transact(work)))

    for status in ("HEALTHY", "HEALTHY", "UNHEALTHY", "UNHEALTHY"):
        doors.health(host, health_of(arn, status))
    for status in ("OK", "IMPAIRED", "IMPAIRED", "OK", "OK"):
        doors.instance_status(host, {"statuses": [{"status": status}]})

    assert len(written) == 2 + 2


@pytest.mark.parametrize("found", [None, 7, "text", {"a": 1}, [None, 7, "text", []], [{"containers": 7, "taskArn": 7}]])
def test_telemetry_of_the_wrong_shape_is_passed_over(plane: TasksPlane, found: Any) -> None:
    host = plane.add_host().rsplit("/", 1)[-1]
    doors = telemetry(plane)

    doors.health(host, {"tasks": found})
    doors.instance_status(host, {"statuses": found})

    assert health_status(plane, host)["overallStatus"] == "OK"


def test_a_frame_nested_without_end_is_told_to_be_none(plane: TasksPlane) -> None:
    host = plane.add_host().rsplit("/", 1)[-1]
    conversation = Conversation(plane.store, plane.clock, plane.settings, host)

    answer = conversation.answer("[" * 500_000)

    assert answer is not None and "ErrorMessage" in answer
