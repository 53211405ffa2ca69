"""``berth exec``: a command in a running container, with this terminal."""

import argparse
import json
import os
import shlex
import shutil
import signal
import ssl
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from kit.aws import ssm_channel as ssm
from kit.clock import epoch_millis
from orchestrator.cli.asking import connect as ask
from orchestrator.cli.finding import SHOW, find
from orchestrator.cli.output import CommandFailed, add_data

CHUNK = 4096
END_OF_INPUT = b"\x04"
# As a shell counts those that a signal ended.
BROKEN_PIPE, INTERRUPTED = 128 + signal.SIGPIPE, 128 + signal.SIGINT


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "exec",
        help="run a command in a running container, with this terminal",
        description="Run a command in a container of a task that was run with --enable-execute-command. Who asked for "
        "what, and when it ended, is kept in the event log.",
    )
    add_data(parser)
    parser.add_argument("--container", metavar="NAME", help="the container, where the task has several")
    parser.add_argument("task", help="the task's ARN, id, or the last digits of it")
    words = parser.add_argument(
        "words", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run (default: /bin/sh)"
    )
    words.required = False
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Answers the command's own exit code."""
    words = command_of(arguments)
    card, client = ask(arguments)
    ecs = client("ecs")
    asked: dict[str, Any] = {"interactive": True}
    asked["command"] = words[0] if len(words) == 1 else shlex.join(words) or "/bin/sh"
    if arguments.container:
        asked["container"] = arguments.container
    try:
        found = find(ecs, client("batch"), arguments.task)
        if found.kind != "task":
            raise CommandFailed(f"{arguments.task} is a {found.kind}: name one of its tasks; {SHOW}")
        session = ecs.execute_command(cluster=found.cluster, task=found.said["taskArn"], **asked)["session"]
        return _talk(session, card.get("ca_bundle"))
    except ClientError as error:
        raise CommandFailed(f"{error.response['Error']['Message']}{_hint(error)}") from error
    except BotoCoreError as error:
        raise CommandFailed(str(error)) from error
    except BrokenPipeError:
        # Whoever reads what it prints has read enough. Nothing more is written, not even at the end of this process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except (WebSocketException, OSError, ssm.BadFrame) as error:
        raise CommandFailed(f"the session broke: {error}") from error


def command_of(arguments: argparse.Namespace) -> list[str]:
    """The command's words. Options that were written behind the task are taken for what they are, since no
    command begins with two dashes."""
    words = list(arguments.words)
    while words and words[0].startswith("--"):
        option, equals, value = words.pop(0).partition("=")
        if option == "--":
            break
        if option not in ("--container", "--data"):
            raise CommandFailed(f"there is no option {option}, and no command begins so")
        if not equals and not words:
            raise CommandFailed(f"{option} needs a value")
        value = value if equals else words.pop(0)
        setattr(arguments, option[2:], Path(value) if option == "--data" else value)
    return words


def _hint(error: Exception) -> str:
    if "execute command was not enabled" not in str(error):
        return ""
    return " For a service: aws ecs update-service --enable-execute-command --force-new-deployment …"


def _talk(session: dict[str, Any], bundle: str | None) -> int:
    url = session["streamUrl"]
    trust = ssl.create_default_context(cafile=bundle) if url.startswith("wss:") else None
    with connect(url, ssl=trust, compression=None, proxy=None, max_size=4 * 1024 * 1024) as socket:
        opening = {"MessageSchemaVersion": "1.0", "RequestId": str(uuid4()), "TokenValue": session["tokenValue"]}
        socket.send(json.dumps({**opening, "ClientId": str(uuid4()), "ClientVersion": "1.2.0.0"}))
        return _Terminal(socket).talk()


class _Terminal:
    """This terminal at the other end of a data channel."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._lock = threading.Lock()
        self._next_out = 0
        self._next_in = 0

    def talk(self) -> int:
        """Until the session is closed; answers the exit code."""
        for raw in self._socket:
            frame = ssm.decode(raw if isinstance(raw, bytes) else raw.encode())
            if frame.type == ssm.CLOSED:
                return _farewell(frame)
            if frame.type != ssm.OUTPUT:
                continue
            self._acknowledge(frame)
            if frame.number != self._next_in:
                continue
            self._next_in += 1
            if frame.kind == ssm.Kind.HANDSHAKE_REQUEST:
                self._shake_hands()
            elif frame.kind == ssm.Kind.HANDSHAKE_COMPLETE:
                with _raw():
                    return self._serve()
        raise ssm.BadFrame("it was closed before it began")

    def _serve(self) -> int:
        # A signal comes in the middle of anything, of a send too: here it only leaves word.
        resized: SimpleQueue[None] = SimpleQueue()
        resized.put(None)
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGWINCH, lambda *_: resized.put(None))
        threading.Thread(target=self._tell_sizes, args=(resized,), name="sizes", daemon=True).start()
        threading.Thread(target=self._type, name="typing", daemon=True).start()
        for raw in self._socket:
            frame = ssm.decode(raw if isinstance(raw, bytes) else raw.encode())
            if frame.type == ssm.CLOSED:
                return _farewell(frame)
            if frame.type == ssm.OUTPUT:
                self._acknowledge(frame)
                if frame.number == self._next_in:
                    self._next_in += 1
                    sys.stdout.buffer.write(frame.payload)
                    sys.stdout.buffer.flush()
        return 1

    def _shake_hands(self) -> None:
        done = {"ActionType": "SessionType", "ActionStatus": 1, "ActionResult": None, "Error": ""}
        answer = ssm.write_json(ClientVersion="1.2.0.0", ProcessedClientActions=[done], Errors=[])
        self._send(ssm.INPUT, ssm.Kind.HANDSHAKE_RESPONSE, answer)

    def _type(self) -> None:
        piped = not sys.stdin.isatty()
        last = b"\n"
        with suppress(WebSocketException, OSError, ValueError):
            while typed := os.read(sys.stdin.fileno(), CHUNK):
                self._send(ssm.INPUT, ssm.Kind.OUTPUT, typed)
                last = typed[-1:]
            if piped:
                # As at a terminal: within a line the first one only ends the line.
                self._send(ssm.INPUT, ssm.Kind.OUTPUT, END_OF_INPUT * (1 if last == b"\n" else 2))

    def _tell_sizes(self, resized: "SimpleQueue[None]") -> None:
        with suppress(WebSocketException, OSError):
            while True:
                resized.get()
                size = shutil.get_terminal_size()
                self._send(ssm.INPUT, ssm.Kind.SIZE, ssm.write_json(cols=size.columns, rows=size.lines))

    def _acknowledge(self, frame: ssm.Frame) -> None:
        # It may be closed already, and how the command ended lies behind this frame.
        with suppress(ConnectionClosed):
            self._send(ssm.ACKNOWLEDGE, payload=ssm.acknowledgement(frame), number=0)

    def _send(self, type_: str, kind: int = 0, payload: bytes = b"", *, number: int | None = None) -> None:
        with self._lock:
            if number is None:
                number, self._next_out = self._next_out, self._next_out + 1
            frame = ssm.Frame(
                type=type_,
                number=number,
                message_id=uuid4(),
                created_at=epoch_millis(datetime.now(UTC)),
                flags=ssm.SYN if number == 0 and type_ == ssm.INPUT else 0,
                kind=kind,
                payload=payload,
            )
            self._socket.send(ssm.encode(frame))


def _farewell(frame: ssm.Frame) -> int:
    told = ssm.read_json(frame.payload)
    if told.get("Output"):
        print(told["Output"], file=sys.stderr)
        return 1
    return int(told.get("ExitCode") or 0)


@contextmanager
def _raw() -> Iterator[None]:
    """Every key goes to the container, Ctrl-C too; a pipe stays as it is."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
