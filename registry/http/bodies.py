"""Bodies of requests, a piece at a time: never more of one in memory, however large it is."""

from collections.abc import AsyncIterator

from anyio import fail_after
from starlette.requests import ClientDisconnect, Request

from registry.errors import Stalled
from registry.storage import CHUNK

# Seconds without a byte of a body that is under way.
STALLED_AFTER = 60.0
# Offered by Berth's own server; others have ASGI's ``receive``.
READ_BODY = "berth.http.read_body"


async def pieces_of(request: Request) -> AsyncIterator[bytearray | memoryview]:
    """The body in pieces of about CHUNK bytes, each of them good until the next is asked for.

    Raises ClientDisconnect, and Stalled when nothing comes for too long, so that no session is held for ever; all that
    came until then is given before.
    """
    read = request.scope.get("extensions", {}).get(READ_BODY)
    if read is None:
        async for piece in _received(request):
            yield piece
        return
    buffer = memoryview(bytearray(min(CHUNK, _announced(request) or CHUNK)))
    while True:
        try:
            length = await read(buffer, STALLED_AFTER)
        except TimeoutError:
            raise Stalled from None
        except ConnectionError:
            raise ClientDisconnect from None
        if not length:
            return
        yield buffer[:length]


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
        if waiting and (trouble is not None or len(waiting) >= CHUNK):
            full, waiting = waiting, bytearray()
            yield full
        if trouble is not None:
            raise trouble
    if waiting:
        yield waiting


def _announced(request: Request) -> int | None:
    """How long the body is said to be; None for no such word."""
    said = request.headers.get("content-length", "")
    return int(said[:18]) if said.isascii() and said.isdigit() else None
