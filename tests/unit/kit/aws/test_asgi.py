"""The ASGI edge: whole bodies in, whole answers out, and bounds on size, time and company."""

import asyncio
import threading
from collections.abc import MutableMapping
from typing import Any

from kit.aws.asgi import MOST_OF_A_STRANGER, AwsApp
from kit.aws.http import HttpRequest, HttpResponse
from kit.aws.service import Service
from tests.support.aws_requests import ROOT_KEY, bound, gateway_of, json_call, signed, told


class Client:
    """Drives an ASGI application with one request and keeps what it sends."""

    def __init__(
        self,
        request: HttpRequest,
        *,
        chunks: list[bytes] | None = None,
        hang_up: bool = False,
        stuck: bool = False,
    ) -> None:
        self.scope = {
            "type": "http",
            "method": request.method,
            "path": "/decoded",
            "raw_path": request.path.encode("latin-1"),
            "query_string": request.query.encode("latin-1"),
            "headers": [(name.encode(), value.encode()) for name, value in request.headers],
        }
        self.chunks = [request.body] if chunks is None else chunks
        self.hang_up = hang_up
        self.stuck = stuck
        self.sent: list[MutableMapping[str, Any]] = []

    async def receive(self) -> MutableMapping[str, Any]:
        if not self.chunks:
            if self.hang_up:
                return {"type": "http.disconnect"}
            await asyncio.Event().wait()
        chunk = self.chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(self.chunks) or self.hang_up or self.stuck}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)

    def response(self) -> HttpResponse:
        start, body = self.sent
        headers = tuple((name.decode(), value.decode()) for name, value in start["headers"])
        return HttpResponse(status=start["status"], headers=headers, body=body["body"])


def run(app: AwsApp, *clients: Client) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*(app(client.scope, client.receive, client.send) for client in clients))

    try:
        asyncio.run(all_of_them())
    finally:
        app.close()


def test_a_request_in_chunks_is_put_together_and_answered_with_its_raw_path() -> None:
    batch = Service("batch")
    batch.operation("ListTagsForResource")(lambda call, request: {"tags": {"of": request["resourceArn"]}})
    client = Client(signed("batch", method="GET", path="/v1/tags/a%2Fb"), chunks=[b"", b"", b""])

    run(AwsApp(gateway_of(batch)), client)

    response = client.response()
    assert response.body == b'{"tags":{"of":"a/b"}}'
    assert response.header("content-length") == str(len(response.body))


def test_a_body_beyond_the_bound_is_refused_whether_announced_or_not() -> None:
    ecs = bound("ecs", lambda call, request: None)
    request = json_call(ecs, "ListClusters", {})
    announced = HttpRequest(
        method="POST", path="/", headers=[*request.headers, ("content-length", "9" * 30)], body=b"{}"
    )
    streamed = Client(request, chunks=[b"x" * 60, b"x" * 60])
    told_before = Client(announced, chunks=[])

    run(AwsApp(gateway_of(ecs), max_body=100), streamed, told_before)

    for client in (streamed, told_before):
        response = client.response()
        assert told(response)[:2] == (413, "RequestEntityTooLargeException")
        assert response.header("connection") == "close"


def test_a_client_that_hangs_up_is_not_answered_and_one_that_dawdles_is_told() -> None:
    ecs = bound("ecs", lambda call, request: None)
    gone = Client(json_call(ecs, "ListClusters", {}), chunks=[b"{"], hang_up=True)
    slow = Client(json_call(ecs, "ListClusters", {}), chunks=[])

    run(AwsApp(gateway_of(ecs), body_timeout=0.01), gone, slow)

    assert gone.sent == []
    assert told(slow.response())[:2] == (408, "RequestTimeoutException")


def test_when_too_many_wait_the_next_is_told_to_come_again() -> None:
    open_door, reached = threading.Event(), threading.Event()

    def handler(call: Any, request: dict[str, Any]) -> None:
        reached.set()
        open_door.wait(30)

    ecs = bound("ecs", handler)
    app = AwsApp(gateway_of(ecs), threads=1, waiting=1)
    inside = [Client(json_call(ecs, "ListClusters", {})) for _ in range(2)]
    late = Client(json_call(ecs, "ListClusters", {}))

    async def play() -> None:
        working = [asyncio.create_task(app(client.scope, client.receive, client.send)) for client in inside]
        await asyncio.to_thread(reached.wait, 30)
        await app(late.scope, late.receive, late.send)
        open_door.set()
        await asyncio.gather(*working)

    try:
        asyncio.run(play())
    finally:
        open_door.set()
        app.close()

    assert told(late.response())[:2] == (503, "ServiceUnavailable")
    assert [client.response().status for client in inside] == [200, 200]


def test_lifespan_starts_and_ends_the_threads() -> None:
    app = AwsApp(gateway_of(bound("ecs", lambda call, request: None)))
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    asyncio.run(app({"type": "lifespan"}, receive, send))

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_headers_beyond_ascii_are_verified_byte_for_byte() -> None:
    ecs = bound("ecs", lambda call, request: None)
    target = "AmazonEC2ContainerServiceV20141113.ListClusters"
    client = Client(signed("ecs", headers={"X-Amz-Target": target, "X-Note": " Grüße  à la\xa0carte "}, body=b"{}"))

    run(AwsApp(gateway_of(ecs)), client)

    assert client.response().status == 200


def test_all_bodies_together_are_bounded_and_the_bound_is_given_back() -> None:
    ecs = bound("ecs", lambda call, request: None)
    app = AwsApp(gateway_of(ecs), max_body=100, max_held=150, body_timeout=0.05)
    request = json_call(ecs, "ListClusters", {})
    stuck = Client(request, chunks=[b" " * 90], stuck=True)
    late = Client(request, chunks=[b" " * 90, b"{}"])
    after = Client(request)

    async def play() -> None:
        waiting = asyncio.create_task(app(stuck.scope, stuck.receive, stuck.send))
        await asyncio.sleep(0)
        await app(late.scope, late.receive, late.send)
        await waiting
        await app(after.scope, after.receive, after.send)

    try:
        asyncio.run(play())
    finally:
        app.close()

    assert told(late.response())[:2] == (503, "ServiceUnavailable")
    assert told(stuck.response())[:2] == (408, "RequestTimeoutException")
    assert after.response().status == 200


def test_a_large_body_is_read_only_for_a_key_that_is_known() -> None:
    ecs = bound("ecs", lambda call, request: None)
    half = b" " * (MOST_OF_A_STRANGER // 2 + 1)
    known = json_call(ecs, "ListClusters", {}, raw=half * 3 + b"{}")
    unsigned = HttpRequest(method="POST", path="/", headers={"x-amz-target": "a.B"})
    unknown = HttpRequest(
        method="POST",
        path="/",
        headers=[(name, value.replace(ROOT_KEY.access_key_id, "AKIDSTRANGER")) for name, value in known.headers],
    )
    clients = [Client(request, chunks=[half, half, half, b"{}"]) for request in (known, unsigned, unknown)]

    run(AwsApp(gateway_of(ecs)), *clients)

    answered = [(told(client.response())[1], len(client.chunks)) for client in clients[1:]]
    assert answered == [("MissingAuthenticationTokenException", 2), ("UnrecognizedClientException", 2)]
    assert clients[0].response().status == 200
