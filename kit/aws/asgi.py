"""The gateway as an ASGI application: bodies read within bounds, the work done in a bounded pool of threads.

A client that sends too much, too slowly, or while too many others wait gets a coded error and not an exception.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kit.aws.errors import AwsError, RequestEntityTooLarge, RequestTimeout, ServiceUnavailable
from kit.aws.gateway import Gateway
from kit.aws.http import HttpRequest, HttpResponse

# Bytes of a body that are read before it matters whether the request names a key that is known.
MOST_OF_A_STRANGER = 64 * 1024

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ClientGone(Exception):
    """The client hung up before its request was complete."""


class AwsApp:
    """ASGI for one gateway. ``max_body`` in bytes, ``body_timeout`` in seconds for the whole body.

    At most ``threads`` requests are worked on at once and ``waiting`` more may wait, and the bodies of all requests
    together may hold ``max_held`` bytes (16 of the largest unless told); beyond that the answer is 503, which every
    SDK retries. Call ``close`` (or let the server's lifespan do so) to end the threads.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        max_body: int = 8 * 1024 * 1024,
        threads: int = 8,
        waiting: int = 512,
        body_timeout: float = 60.0,
        max_held: int | None = None,
    ) -> None:
        self._gateway = gateway
        self._max_body = max_body
        self._most = threads + waiting
        self._body_timeout = body_timeout
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="aws")
        self._inside = 0
        self._max_held = max_held if max_held is not None else 16 * max_body
        self._held = 0

    def close(self) -> None:
        """Finish what is being worked on and end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            # A WebSocket handshake that found no other door.
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        head = _request(scope, b"")
        body = bytearray()
        try:
            await self._read(head, receive, body)
            response = await self._answer(_request(scope, bytes(body)))
        except ClientGone:
            return
        except AwsError as error:
            # The rest of the body is never read, so the connection cannot be used again.
            await _send(self._gateway.refuse(head, error), send, hang_up=True)
            return
        finally:
            self._held -= len(body)
        await _send(response, send, hang_up=False)

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        if self._inside >= self._most:
            raise ServiceUnavailable("Too many requests are waiting. Try again.")
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._gateway.handle, request)
        finally:
            self._inside -= 1

    async def _read(self, head: HttpRequest, receive: Receive, body: bytearray) -> None:
        """Read into ``body``, every byte of which counts as held until the request is answered."""
        announced = head.header("content-length") or "0"
        admitted = False
        too_large = RequestEntityTooLarge(f"A request may hold {self._max_body} bytes at most.")
        if announced.isdecimal() and int(announced[:20]) > self._max_body:
            raise too_large
        try:
            async with asyncio.timeout(self._body_timeout):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    chunk, more = message.get("body", b""), message.get("more_body", False)
                    if len(body) + len(chunk) > self._max_body:
                        raise too_large
                    if self._held + len(chunk) > self._max_held:
                        raise ServiceUnavailable("Too much is being uploaded at once. Try again.")
                    self._held += len(chunk)
                    body += chunk
                    if len(body) > MOST_OF_A_STRANGER and not admitted:
                        await asyncio.get_running_loop().run_in_executor(self._pool, self._gateway.admit, head)
                        admitted = True
        except TimeoutError:
            raise RequestTimeout from None

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _request(scope: MutableMapping[str, Any], body: bytes) -> HttpRequest:
    raw_path = scope.get("raw_path") or scope["path"].encode()
    return HttpRequest(
        method=scope["method"],
        # Some servers leave the query in the raw path.
        path=raw_path.partition(b"?")[0].decode("latin-1"),
        query=scope.get("query_string", b"").decode("latin-1"),
        # Whatever bytes a value has, the signature over it must see the same ones again.
        headers=[
            (name.decode("latin-1"), value.decode("utf-8", "surrogateescape")) for name, value in scope["headers"]
        ],
        body=body,
        client=(scope.get("client") or (None,))[0],
        secure=scope.get("scheme") == "https",
    )


async def _send(response: HttpResponse, send: Send, *, hang_up: bool) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    headers.append((b"content-length", str(len(response.body)).encode()))
    if hang_up:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
