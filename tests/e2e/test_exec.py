"""ECS Exec: a shell from ``berth exec`` in a terminal, and from the session's URL as the plugin opens it."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from kit.aws import ssm_channel as ssm
from tests.support import faults
from tests.support.berth import BERTH, RunningBerth, until


@pytest.fixture(scope="module")
def task(berth: RunningBerth, image: str) -> Iterator[str]:
    """A running task with ECS Exec; none is left of this file's at the end."""
    family = faults.register(berth, "with-exec", image, "sleep", "600")
    yield run(berth, family, enableExecuteCommand=True)
    faults.stop_all(berth)


def run(berth: RunningBerth, family: str, **members: Any) -> str:
    ecs = berth.client("ecs")
    arn: str = ecs.run_task(taskDefinition=family, **members)["tasks"][0]["taskArn"]
    ecs.get_waiter("tasks_running").wait(tasks=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return arn


class Plugin:
    """The Session Manager plugin's side of a data channel."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._next = 0

    def say(self, kind: int, payload: bytes) -> None:
        frame = ssm.Frame(type=ssm.INPUT, number=self._next, message_id=uuid4(), kind=kind, payload=payload)
        self._next += 1
        self._socket.send(ssm.encode(frame))

    def hear(self) -> ssm.Frame:
        """The next frame that is no acknowledgement."""
        while True:
            raw = self._socket.recv(timeout=30)
            assert isinstance(raw, bytes)
            frame = ssm.decode(raw)
            if frame.type != ssm.ACKNOWLEDGE:
                return frame

    def begin(self) -> None:
        asked = self.hear()
        assert asked.kind == ssm.Kind.HANDSHAKE_REQUEST
        action = json.loads(asked.payload)["RequestedClientActions"][0]
        assert action["ActionParameters"]["SessionType"] == "Standard_Stream"
        self.say(ssm.Kind.HANDSHAKE_RESPONSE, ssm.write_json(ClientVersion="1.2.0", ProcessedClientActions=[]))
        assert self.hear().kind == ssm.Kind.HANDSHAKE_COMPLETE

    def until(self, text: bytes) -> bytes:
        seen = b""
        while text not in seen:
            seen += self.hear().payload
        return seen


@contextmanager
def opened(session: dict[str, Any]) -> Iterator[ClientConnection]:
    with connect(session["streamUrl"], compression=None, proxy=None) as socket:
        socket.send(json.dumps({"MessageSchemaVersion": "1.0", "TokenValue": session["tokenValue"]}))
        yield socket


def test_a_shell_on_the_sessions_url(berth: RunningBerth, task: str) -> None:
    answer = berth.client("ecs").execute_command(task=task, command="/bin/sh", interactive=True)
    assert (answer["taskArn"], answer["containerName"]) == (task, "main")

    with opened(answer["session"]) as socket:
        plugin = Plugin(socket)
        plugin.begin()
        plugin.say(ssm.Kind.SIZE, ssm.write_json(cols=123, rows=45))
        plugin.say(ssm.Kind.OUTPUT, b"echo is $((6*7)); stty size; exit 5\n")
        seen = plugin.until(b"123\r\n")
        assert b"is 42\r\n45 123\r\n" in seen
        ended = plugin.hear()
        while ended.type != ssm.CLOSED:
            ended = plugin.hear()
        assert json.loads(ended.payload)["ExitCode"] == 5


def test_a_token_is_good_once(berth: RunningBerth, task: str) -> None:
    session = berth.client("ecs").execute_command(task=task, command="cat", interactive=True)["session"]
    with opened(session) as first:
        Plugin(first).begin()
        for token in (session["tokenValue"], "guessed"):
            with opened({**session, "tokenValue": token}) as second, pytest.raises(ConnectionClosed) as closed:
                second.recv(timeout=30)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


def test_a_client_that_hangs_up_ends_its_command(berth: RunningBerth, task: str) -> None:
    ecs = berth.client("ecs")
    marked = f"sleep {4000 + os.getpid() % 1000}"
    with opened(ecs.execute_command(task=task, command=marked, interactive=True)["session"]) as socket:
        Plugin(socket).begin()
        until("it runs", lambda: marked.encode() in look(berth, task))
    until("it has ended", lambda: marked.encode() not in look(berth, task))


def look(berth: RunningBerth, task: str) -> bytes:
    """The container's processes, by another session."""
    return berth.run(*BERTH, "exec", "--data", berth.data, task, "ps").encode()


def test_berth_exec_gives_a_terminal_and_the_commands_own_exit_code(berth: RunningBerth, task: str) -> None:
    parent, child = pty.openpty()
    command = [*BERTH, "exec", "--data", str(berth.data), task]
    with subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=berth.environment) as process:
        os.close(child)
        with closing(os.fdopen(parent, "r+b", buffering=0)) as terminal:
            seen = b""
            while b"# " not in seen:
                seen += terminal.read(4096)
            terminal.write(b"test -t 0 && echo a terminal; exit 9\r")
            while b"a terminal\r\n" not in seen:
                seen += terminal.read(4096)
            assert process.wait(30) == 9


@pytest.mark.parametrize("typed", ["echo piped", "echo piped\n"])
def test_berth_exec_under_a_pipe_ends_with_its_input(berth: RunningBerth, task: str, typed: str) -> None:
    command = [*BERTH, "exec", "--data", str(berth.data), task, "cat"]
    done = subprocess.run(command, input=typed.encode(), capture_output=True, timeout=60, env=berth.environment)
    assert done.returncode == 0, done.stderr
    assert b"echo piped" in done.stdout


def test_berth_exec_into_a_pipe_that_is_closed_says_nothing(berth: RunningBerth, task: str) -> None:
    command = [*BERTH, "exec", "--data", str(berth.data), task, "yes"]
    streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=berth.environment, **streams) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(10_000)
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""
    until("it has ended", lambda: b" yes" not in look(berth, task))


def test_windows_that_change_while_much_is_printed_stop_nothing(berth: RunningBerth, task: str) -> None:
    words = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 3"
    command = [*BERTH, "exec", "--data", str(berth.data), task, words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=berth.environment) as process:
        assert process.stdout is not None
        seen = os.read(process.stdout.fileno(), 1000)
        while piece := os.read(process.stdout.fileno(), 8192):
            process.send_signal(signal.SIGWINCH)
            seen += piece
        assert process.wait(60) == 3
    assert seen.endswith(b"line 19999\r\n")


def test_refusals_say_what_is_missing(berth: RunningBerth, image: str, task: str) -> None:
    ecs = berth.client("ecs")
    without = run(berth, faults.register(berth, "without-exec", image, "sleep", "600"))
    for asked, code, words in (
        ({"task": without}, "InvalidParameterException", "execute command was not enabled"),
        ({"task": "no-such-task"}, "InvalidParameterException", "task was not found"),
        ({"task": task, "container": "other"}, "InvalidParameterException", "no container named 'other'"),
        ({"task": task, "interactive": False}, "InvalidParameterException", "Interactive"),
        ({"task": task, "command": "  "}, "InvalidParameterException", "command must have"),
    ):
        with pytest.raises(ClientError) as refused:
            ecs.execute_command(**{"command": "sh", "interactive": True, **asked})
        assert refused.value.response["Error"]["Code"] == code
        assert words in refused.value.response["Error"]["Message"]
    ecs.stop_task(task=without)
