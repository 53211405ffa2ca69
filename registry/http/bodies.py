"""Bodies of requests, a piece at a time: never more of one in memory, however large it is.

The buffers are shared. A request has one only while bytes come and are taken, in the order in which they were asked
for; a client that is slow gives it back half-full, and what it sends meanwhile waits in its socket.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from mmap import mmap
from weakref import WeakKeyDictionary

from anyio import fail_after
from starlette.requests import ClientDisconnect, Request

from registry.errors import Stalled

# Seconds without a byte of a body that is under way.
STALLED_AFTER = 60.0
# Offered by Berth's own server; others have ASGI's ``receive``.
READ_BODY = "berth.http.read_body"
# Each piece costs turns of threads and of the loop, as much as a mebibyte costs by itself.
PIECE = 4 * 1024 * 1024
# Buffers in use at once, and for how many seconds one of them waits for what fills it.
BUFFERS = 16
FILLED_WITHIN = 0.25
# Bodies that are announced to have at most so many bytes have a buffer of their own.
SMALL = 64 * 1024

_Read = Callable[[memoryview | None, float, float | None], Awaitable[int]]


async def pieces_of(request: Request) -> AsyncGenerator[bytearray | memoryview, None]:
    """The body in pieces of PIECE bytes at most, each of them good until the next is asked for; close it always.

    Raises ClientDisconnect, and Stalled when nothing comes for too long, so that no session is held for ever; all that
    came until then is given before.
    """
    read = request.scope.get("extensions", {}).get(READ_BODY)
    if read is None:
        async for piece in _received(request):
            yield piece
        return
    buffers = _buffers.setdefault(asyncio.get_running_loop(), _Buffers())
    announced = announced_length(request)
    small = announced is not None and announced <= SMALL
    while await _reading(read, None, None):
        async with buffers.turns:
            buffer = memoryview(bytearray(announced or 1)) if small else buffers.take()
            try:
                yield buffer[: await _reading(read, buffer, FILLED_WITHIN)]
            finally:
                if not small:
                    buffers.spare.append(buffer)


async def _reading(read: _Read, buffer: memoryview | None, within: float | None) -> int:
    try:
        return await read(buffer, STALLED_AFTER, within)
    except TimeoutError:
        raise Stalled from None
    except ConnectionError:
        raise ClientDisconnect from None


class _Buffers:
    """The buffers of one event loop: the turns in which they are had, and those that nobody has now."""

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(BUFFERS)
        self.spare: list[memoryview] = []

    def take(self) -> memoryview:
        # Memory of its own pages: from there a storage can write it without a copy.
        return self.spare.pop() if self.spare else memoryview(mmap(-1, PIECE))


_buffers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Buffers] = WeakKeyDictionary()


async def _received(request: Request) -> AsyncIterator[bytearray]:
    waiting, body = bytearray(), request.stream()
    while True:
        trouble: Exception | None = None
        try:
            with fail_after(STALLED_AFTER):
                waiting += await anext(body)
        except StopAsyncIteration:
            break
        except TimeoutError:
            trouble = Stalled()
        except ClientDisconnect as error:
            trouble = error
        if waiting and (trouble is not None or len(waiting) >= PIECE):
            full, waiting = waiting, bytearray()
            yield full
        if trouble is not None:
            raise trouble
    if waiting:
        yield waiting


def announced_length(request: Request) -> int | None:
    """How long the body is said to be; None for no such word."""
    said = request.headers.get("content-length", "")
    return int(said[:18]) if said.isascii() and said.isdigit() else None
