"""The endpoints' HTTP server: one thread for all connections, bounded in everything that a container could make large.

What is answered from memory is answered at once; what asks the engine or the control plane is done by a few threads
that exist only while there is such work.
"""

import asyncio
import contextlib
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from agent.log import facts

LARGEST_HEAD = 8 * 1024
LARGEST_BODY = 16 * 1024
# For a head or a body to arrive, or the next request of a connection.
PATIENCE = timedelta(seconds=10)
MOST_CONNECTIONS = 512
# The door's connections all come from one address; a task's own cable has one of its own.
MOST_OF_ONE = 128
SLOW_THREADS = 4
TICK = timedelta(seconds=30)
REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    411: "Length Required",
    413: "Content Too Large",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

T = TypeVar("T")

log = facts(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    query: str = ""
    body: bytes = b""
    source: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in JSON."""

    status: int
    document: Any


# What answers a request: at once, or by a function that may take its time.
Answering = Answer | Callable[[], Answer]


class _Refused(Exception):
    """The connection is at its end, after this status."""

    def __init__(self, status: int) -> None:
        self.status = status


class Server:
    """Serves one listening socket in a thread of its own until stopped."""

    def __init__(
        self, listener: socket.socket, answer: Callable[[Request], Answering], tick: Callable[[], None] = lambda: None
    ) -> None:
        """``tick`` is called every TICK, and may take its time."""
        self._listener = listener
        self._answer = answer
        self._tick = tick
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._stopped = threading.Event()
        self._sources: Counter[str] = Counter()
        # Connections that wait for a request, the longest first.
        self._idle: dict[asyncio.StreamWriter, str] = {}
        self._pool = ThreadPoolExecutor(SLOW_THREADS, thread_name_prefix="endpoints")

    def run(self) -> None:
        """Serve; returns after ``stop``."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        self._stopped.set()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ended.set)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        server = await asyncio.start_server(self._connected, sock=self._listener, limit=LARGEST_HEAD)
        try:
            while not (self._stopped.is_set() or self._ended.is_set()):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), TICK.total_seconds())
                    break
                try:
                    await self._apart(self._tick)
                except Exception:
                    # Whatever it was, as that no thread could be made: tasks need their credentials all the same.
                    log.surprise("endpoints not looked after")
        finally:
            # Not waited for: whoever is connected may stay so, and is cut off with the loop's end.
            server.close()

    async def _apart(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = str((writer.get_extra_info("peername") or ("",))[0])
        full = self._sources.total() >= MOST_CONNECTIONS
        if (full or self._sources[source] >= MOST_OF_ONE) and not self._make_room(None if full else source):
            writer.close()
            return
        self._sources[source] += 1
        try:
            while await self._exchange(reader, writer, source):
                pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except Exception:
            log.surprise("endpoint request failed")
        finally:
            self._idle.pop(writer, None)
            self._sources[source] -= 1
            if not self._sources[source]:
                del self._sources[source]
            writer.close()

    def _make_room(self, source: str | None) -> bool:
        """Cut off who has waited longest without asking, of one source or of all; False when everybody is served."""
        idle = next((one for one, its in self._idle.items() if source in (None, its)), None)
        if idle is None:
            return False
        del self._idle[idle]
        idle.transport.abort()
        return True

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str) -> bool:
        """One request and its answer; whether there may be another."""
        self._idle[writer] = source
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                request, keep = await _read(reader, source)
        except _Refused as refused:
            writer.write(_rendered(Answer(refused.status, REASONS[refused.status]), keep=False))
            await _drained(writer)
            return False
        finally:
            self._idle.pop(writer, None)
        answer = await self._answered(request)
        writer.write(_rendered(answer, keep=keep))
        await _drained(writer)
        return keep

    async def _answered(self, request: Request) -> Answer:
        try:
            answering = self._answer(request)
            if isinstance(answering, Answer):
                return answering
            return await self._apart(answering)
        except Exception:
            log.surprise("endpoint request failed", path=request.path.rsplit("/", 1)[-1])
            return Answer(500, "the agent could not answer")


async def _read(reader: asyncio.StreamReader, source: str) -> tuple[Request, bool]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise _Refused(431) from None
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[1].startswith("/"):
        raise _Refused(400)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if line and (not colon or name != name.strip()):
            raise _Refused(400)
        headers[name.lower()] = value.strip()
    body = await _body(reader, headers)
    path, _, query = words[1].partition("?")
    request = Request(
        method=words[0],
        path=path,
        query=query,
        body=body,
        source=source,
        user_agent=headers.get("user-agent", "")[:200],
    )
    wish = headers.get("connection", "").lower()
    return request, wish == "keep-alive" or (words[2] == "HTTP/1.1" and wish != "close")


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "transfer-encoding" in headers:
        raise _Refused(411)
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise _Refused(400)
    if len(text) > 9 or int(text) > LARGEST_BODY:
        raise _Refused(413)
    return await reader.readexactly(int(text))


async def _drained(writer: asyncio.StreamWriter) -> None:
    """Wait until the answer is taken, but not for ever."""
    async with asyncio.timeout(PATIENCE.total_seconds()):
        await writer.drain()


def _rendered(answer: Answer, *, keep: bool) -> bytes:
    body = json.dumps(answer.document, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Status')}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    return head.encode() + body
