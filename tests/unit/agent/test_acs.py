"""The payload socket's frames: acknowledged when safe, refused with a reason, and nonsense passed over."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.control.acs import Acs
from agent.control.session import read_frame
from agent.identity import Identity
from agent.tasks.model import Phase
from tests.support.agent_process import container, task
from tests.support.fake_control_plane import CLUSTER, INSTANCE, task_arn
from tests.unit.agent.host import MemoryHost

IDENTITY = Identity(id="agent-1", cluster="default", token="t", container_instance=INSTANCE)


class Socket:
    """An ACS on a host in memory, and what it sent."""

    def __init__(self, host: MemoryHost) -> None:
        self.host = host
        self.sent: list[tuple[str, Mapping[str, Any]]] = []
        self.acs = Acs(
            identity=lambda: IDENTITY,
            cluster_arn=lambda: CLUSTER,
            docker_version=lambda: "20.10",
            post=host.engine.post,
            send=self.send,
        )

    def send(self, kind: str, message: Mapping[str, Any]) -> bool:
        self.sent.append((kind, message))
        return True

    def payload(self, *tasks: Any) -> None:
        self.acs.received("PayloadMessage", {"messageId": "m1", "seqNum": 3, "tasks": list(tasks)})

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.sent]


@pytest.fixture
def socket(host: MemoryHost) -> Socket:
    return Socket(host)


def test_a_payload_is_acknowledged_when_all_its_tasks_are_safe(socket: Socket) -> None:
    socket.payload(task("t1", container("web", "server")), task("t2", container("web", "server")))
    assert socket.sent == []
    socket.host.engine.step()
    assert socket.sent == [("AckRequest", {"cluster": CLUSTER, "containerInstance": INSTANCE, "messageId": "m1"})]


def test_a_payload_nobody_can_run_is_refused_and_its_task_reported_stopped(socket: Socket) -> None:
    socket.payload(task("t1", {"name": "web", "image": ""}))
    socket.host.settle()
    [(kind, message)] = socket.sent
    assert kind == "NackRequest"
    assert message["reason"] == "task.containers[0].image: is missing"
    report = socket.host.last("t1")
    assert report
    assert report.status is Phase.STOPPED
    assert report.reason == "ResourceInitializationError: task.containers[0].image: is missing"
    assert [c.name for c in report.containers] == ["web"]


def test_one_bad_task_does_not_take_the_others_with_it(socket: Socket) -> None:
    socket.payload({"arn": task_arn("bad"), "desiredStatus": "?"}, task("t2", container("web", "server")))
    socket.host.settle()
    assert socket.kinds() == ["AckRequest"]
    assert socket.host.status("bad") is Phase.STOPPED
    assert socket.host.status("t2") is Phase.RUNNING


def test_a_heartbeat_is_answered(socket: Socket) -> None:
    assert socket.acs.received("HeartbeatMessage", {"messageId": "h1", "healthy": True})
    assert socket.sent == [("HeartbeatAckRequest", {"messageId": "h1"})]


def test_a_manifest_is_acknowledged_and_the_control_plane_asked_before_stopping(socket: Socket) -> None:
    socket.host.run("t1", container("web", "server"))
    socket.acs.received("TaskManifestMessage", {"messageId": "m2", "tasks": [{"taskArn": "other"}]})
    socket.host.settle()
    assert socket.kinds() == ["AckRequest", "TaskStopVerificationMessage"]
    [candidate] = socket.sent[1][1]["stopCandidates"]
    assert candidate["taskArn"] == task_arn("t1")
    socket.acs.received("TaskStopVerificationAck", {"messageId": "m2", "stopTasks": [candidate]})
    socket.host.settle()
    assert socket.host.status("t1") is Phase.STOPPED


def test_a_manifest_that_lists_everything_asks_nothing(socket: Socket) -> None:
    socket.host.run("t1", container("web", "server"))
    tasks = [{"taskArn": task_arn("t1"), "desiredStatus": "RUNNING"}]
    socket.acs.received("TaskManifestMessage", {"messageId": "m2", "tasks": tasks})
    socket.host.settle()
    assert socket.kinds() == ["AckRequest"]


def test_role_credentials_are_acknowledged(socket: Socket) -> None:
    credentials = {"credentialsId": "c1", "expiration": "2030-01-01T06:00:00Z", "secretAccessKey": "s"}
    socket.acs.received("IAMRoleCredentialsMessage", {"messageId": "m3", "roleCredentials": credentials})
    assert socket.sent == [
        (
            "IAMRoleCredentialsAckRequest",
            {"messageId": "m3", "expiration": "2030-01-01T06:00:00Z", "credentialsId": "c1"},
        )
    ]


def test_only_a_close_message_ends_the_socket(socket: Socket) -> None:
    assert not socket.acs.received("CloseMessage", {"message": "ConnectionExpired"})
    assert socket.acs.received("ErrorMessage", {"message": "trouble"})
    assert socket.acs.received("PerformUpdateMessage", {})


KINDS = ["PayloadMessage", "TaskManifestMessage", "TaskStopVerificationAck", "IAMRoleCredentialsMessage"]
NONSENSE = (
    st.none() | st.integers() | st.text(max_size=5) | st.lists(st.none() | st.just({}) | st.integers(), max_size=2)
)


@given(
    st.sampled_from([*KINDS, "HeartbeatMessage", "ErrorMessage"]),
    st.dictionaries(st.sampled_from(["messageId", "tasks", "seqNum", "stopTasks", "roleCredentials"]), NONSENSE),
)
def test_nonsense_in_known_frames_is_survived(
    tmp_path_factory: pytest.TempPathFactory, kind: str, message: dict[str, Any]
) -> None:
    socket = Socket(MemoryHost(tmp_path_factory.mktemp("host")))
    assert socket.acs.received(kind, message)
    socket.host.settle()


@pytest.mark.parametrize("frame", ["", "{", "[]", "7", '"x"', "null", '{"type": 3}', b"\xff\x00", '{"message": {}}'])
def test_a_frame_that_is_no_message_has_no_kind(frame: str | bytes) -> None:
    assert read_frame(frame) == (None, {})


def test_a_frame_is_its_kind_and_its_message() -> None:
    assert read_frame(json.dumps({"type": "A", "message": {"b": 1}})) == ("A", {"b": 1})
    assert read_frame('{"type": "A", "message": null}') == ("A", {})


def test_the_socket_asks_as_the_protocol_says(socket: Socket, tmp_path: Path) -> None:
    query = socket.acs.query()
    assert query["sendCredentials"] == "true"
    assert (query["clusterArn"], query["containerInstanceArn"]) == (CLUSTER, INSTANCE)
    assert (query["protocolVersion"], query["seqNum"]) == ("2", "1")


def test_new_keys_of_an_execution_role_reach_its_task(socket: Socket) -> None:
    socket.host.run("t1", container("web", "server"))
    keys = {"credentialsId": "i", "accessKeyId": "ASIA2", "secretAccessKey": "s", "sessionToken": "t"}
    message = {"messageId": "m2", "taskArn": task_arn("t1"), "roleType": "TaskExecution", "roleCredentials": keys}
    socket.acs.received("IAMRoleCredentialsMessage", message)
    socket.host.settle()
    [seen] = socket.host.engine.tasks()
    assert seen.spec.execution_role
    assert seen.spec.execution_role.keys.access_key == "ASIA2"
    assert socket.kinds()[-1] == "IAMRoleCredentialsAckRequest"
    socket.acs.received("IAMRoleCredentialsMessage", {**message, "roleCredentials": {"accessKeyId": 7}})
