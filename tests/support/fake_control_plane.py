"""A small control plane on real sockets: enough of ECS, ECR and Logs to test an agent, and a record of all it heard.

Signatures are verified, so an agent that signs wrongly fails every test. It goes away and comes back on the same
ports, refuses what it is told to refuse, and never forgets what it was told before.
"""

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from kit.aws.errors import AwsError
from kit.aws.http import HttpRequest
from kit.aws.sigv4 import Caller, Key, verify
from kit.clock import SystemClock, monotonic

ACCOUNT = "123456789012"
REGION = "us-east-1"
ACCESS_KEY = "AKIAFAKECONTROLPLANE"
SECRET_KEY = "fake-control-plane-secret"
INSTANCE = f"arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/default/0123456789abcdef"
CLUSTER = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/default"

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_DEFAULT_REGION": REGION,
}


def task_arn(task_id: str) -> str:
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/default/{task_id}"


@dataclass
class Heard:
    """Everything an agent said, in order."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    frames: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    handshakes: list[str] = field(default_factory=list)


class FakeControlPlane:
    """``with FakeControlPlane() as plane`` serves; ``plane.send_payload(task)`` assigns."""

    def __init__(self) -> None:
        self.heard = Heard()
        self.refusals: dict[str, deque[tuple[int, str, str]]] = {}
        self.groups: set[str] = set()
        self.streams: set[tuple[str, str]] = set()
        self.events: dict[str, list[str]] = {}
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        self.proxy_endpoint = "http://127.0.0.1:5050"
        self.confirm_stops = True
        self.handshake_refusal = ""
        self._changed = threading.Condition()
        self._sockets: dict[str, ServerConnection] = {}
        self._http: ThreadingHTTPServer | None = None
        self._ws: Server | None = None
        self._ports = (0, 0)
        self._messages = 0

    def __enter__(self) -> "FakeControlPlane":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}"

    def start(self) -> None:
        """Serve, on the same ports as before."""
        plane = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                plane._serve(self)

            def log_message(self, *_: object) -> None:
                pass

        class Http(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._http = Http(("127.0.0.1", self._ports[0]), Handler)
        self._ws = serve(self._socket, "127.0.0.1", self._ports[1], process_request=self._handshake, ping_interval=None)
        self._ports = (self._http.server_address[1], self._ws.socket.getsockname()[1])
        for server in (self._http, self._ws):
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Go away without a word."""
        assert self._http and self._ws
        self._http.shutdown()
        self._http.server_close()
        self._ws.shutdown()
        for socket in list(self._sockets.values()):
            socket.socket.close()
        self._sockets.clear()

    # What tests say.

    def send(self, kind: str, message: dict[str, Any], *, socket: str = "acs") -> None:
        """One frame to the agent, as soon as its socket is open."""
        self.send_raw(json.dumps({"type": kind, "message": message}), socket=socket)

    def send_raw(self, text: str, *, socket: str = "acs") -> None:
        self.wait_for(lambda: socket in self._sockets)
        self._sockets[socket].send(text)

    def send_payload(self, *tasks: dict[str, Any], seq: int = 2) -> str:
        """Assign tasks; the answer is the message id to be acknowledged."""
        self._messages += 1
        message_id = f"message-{self._messages}"
        self.send(
            "PayloadMessage",
            {
                "clusterArn": CLUSTER,
                "containerInstanceArn": INSTANCE,
                "messageId": message_id,
                "seqNum": seq,
                "tasks": list(tasks),
            },
        )
        return message_id

    def refuse_next(self, operation: str, code: str, *, status: int = 400, message: str = "told to refuse") -> None:
        self.refusals.setdefault(operation, deque()).append((status, code, message))

    def hang_up(self, socket: str = "acs") -> None:
        """Close a socket politely."""
        self._sockets[socket].close()

    def connected(self, socket: str = "acs") -> bool:
        return socket in self._sockets

    def wait_for(self, true: Callable[[], Any], timeout: float = 60) -> Any:
        """Ask ``true`` after everything heard, and now and then, until its answer is true; the answer is that."""
        give_up_at = monotonic() + timeout
        with self._changed:
            while not (answer := true()):
                if monotonic() > give_up_at:
                    raise AssertionError(f"not heard in time; calls: {self.heard.calls[-6:]}")
                self._changed.wait(0.05)
            return answer

    # What was heard.

    def calls(self, operation: str) -> list[dict[str, Any]]:
        return [body for name, body in list(self.heard.calls) if name == operation]

    def frames(self, kind: str) -> list[dict[str, Any]]:
        return [message for name, message in list(self.heard.frames) if name == kind]

    def reports(self, task_id: str, status: str | None = None) -> list[dict[str, Any]]:
        """The state changes submitted of a task."""
        return [
            body
            for body in self.calls("SubmitTaskStateChange")
            if body["task"].endswith(f"/{task_id}") and status in (None, body["status"])
        ]

    def wait_for_report(self, task_id: str, status: str, timeout: float = 60) -> dict[str, Any]:
        found = self.wait_for(lambda: self.reports(task_id, status), timeout)
        return dict(found[-1])

    # HTTP.

    def _serve(self, http: BaseHTTPRequestHandler) -> None:
        body = http.rfile.read(int(http.headers.get("Content-Length") or 0))
        operation = http.headers.get("X-Amz-Target", "").rpartition(".")[2]
        status, answer = self._answer(http, operation, body)
        payload = json.dumps(answer).encode()
        http.send_response(status)
        http.send_header("Content-Type", "application/x-amz-json-1.1")
        http.send_header("Content-Length", str(len(payload)))
        http.end_headers()
        http.wfile.write(payload)

    def _answer(self, http: BaseHTTPRequestHandler, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            _verified("POST", http.path, list(http.headers.items()), body)
        except AwsError as error:
            return 400, {"__type": error.code, "message": str(error)}
        read = json.loads(body)
        with self._changed:
            if waiting := self.refusals.get(operation):
                status, code, message = waiting.popleft()
                return status, {"__type": code, "message": message}
            self.heard.calls.append((operation, read))
            try:
                return 200, self._act(operation, read)
            except _Refusal as refusal:
                return 400, {"__type": refusal.code, "message": str(refusal)}
            finally:
                self._changed.notify_all()

    def _act(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        if operation in self.answers:
            return self.answers[operation](body)
        match operation:
            case "RegisterContainerInstance":
                arn = body.get("containerInstanceArn", INSTANCE)
                return {"containerInstance": {"containerInstanceArn": arn, "attributes": body.get("attributes")}}
            case "DiscoverPollEndpoint":
                base = f"http://127.0.0.1:{self._ports[1]}"
                return {"endpoint": f"{base}/acs", "telemetryEndpoint": f"{base}/tcs"}
            case "CreateLogGroup":
                self._new(body["logGroupName"] not in self.groups)
                self.groups.add(body["logGroupName"])
            case "CreateLogStream":
                self._known(body["logGroupName"] in self.groups, "The specified log group does not exist.")
                key = (body["logGroupName"], body["logStreamName"])
                self._new(key not in self.streams)
                self.streams.add(key)
            case "PutLogEvents":
                key = (body["logGroupName"], body["logStreamName"])
                self._known(key in self.streams, "The specified log stream does not exist.")
                messages = [event["message"] for event in body["logEvents"]]
                self.events.setdefault(body["logStreamName"], []).extend(messages)
        return {}

    def _new(self, new: bool) -> None:
        if not new:
            raise _Refusal("ResourceAlreadyExistsException", "exists")

    def _known(self, known: bool, message: str) -> None:
        if not known:
            raise _Refusal("ResourceNotFoundException", message)

    # WebSockets.

    def _handshake(self, connection: ServerConnection, request: Any) -> Any:
        parts = urlsplit(request.path)
        try:
            _verified("GET", request.path, list(request.headers.raw_items()), b"")
        except AwsError as error:
            return connection.respond(403, json.dumps({"type": error.code, "message": {"message": str(error)}}))
        with self._changed:
            self.heard.handshakes.append(request.path)
            self._changed.notify_all()
        if self.handshake_refusal:
            return connection.respond(400, json.dumps({"type": self.handshake_refusal, "message": {}}))
        if parts.path not in ("/acs/ws", "/tcs/ws"):
            return connection.respond(404, "no such socket")
        return None

    def _socket(self, connection: ServerConnection) -> None:
        assert connection.request
        name = urlsplit(connection.request.path).path.split("/")[1]
        with self._changed:
            self._sockets[name] = connection
            self._changed.notify_all()
        try:
            for text in connection:
                frame = json.loads(text)
                with self._changed:
                    self.heard.frames.append((frame["type"], frame["message"]))
                    self._changed.notify_all()
                self._react(frame["type"], frame["message"])
        except (OSError, ConnectionClosed):
            pass
        finally:
            with self._changed:
                if self._sockets.get(name) is connection:
                    del self._sockets[name]
                self._changed.notify_all()

    def _react(self, kind: str, message: dict[str, Any]) -> None:
        if kind == "TaskStopVerificationMessage" and self.confirm_stops:
            self.send(
                "TaskStopVerificationAck",
                {"messageId": message["messageId"], "generatedAt": 1, "stopTasks": message["stopCandidates"]},
            )


class _Refusal(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _verified(method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> Caller:
    path, _, query = target.partition("?")
    caller = Caller(access_key_id=ACCESS_KEY, principal_arn=f"arn:aws:iam::{ACCOUNT}:root", account=ACCOUNT)
    key = Key(access_key_id=ACCESS_KEY, secret=SECRET_KEY, caller=caller)
    return verify(
        HttpRequest(method=method, path=path, query=query, headers=headers, body=body),
        lambda access_key: key if access_key == ACCESS_KEY else None,
        SystemClock().now(),
    )
