"""Files from disk to socket without a copy: the ASGI extension ``http.response.zerocopysend`` for uvicorn.

An application that finds the extension in its scope sends a part of an open file as one message; the kernel moves
the bytes. TLS sockets do not get the offer. Where the kernel cannot do it for a file, it is read and written here.
"""

import asyncio
import os
from asyncio import SendfileNotAvailableError
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

ZERO_COPY = "http.response.zerocopysend"
# Bytes of one call to the kernel: the event loop waits for nobody else meanwhile, and that must stay a moment.
SLICE = 16 * 1024 * 1024
_COPIED = 1024 * 1024


async def send_or_file(cycle: RequestResponseCycle, send: Any, message: Any) -> None:
    """ASGI's ``send``, for the request that ``cycle`` answers, which also knows the extension's message."""
    if message["type"] == ZERO_COPY:
        await _send_file(cycle, message)
    else:
        await send(message)


async def _send_file(cycle: RequestResponseCycle, message: Any) -> None:
    """Send ``count`` bytes of ``file`` from ``offset`` on as a part of the body whose Content-Length was told.

    A file that ends early raises OSError, and with it the connection ends: nobody must take it for whole.
    """
    if cycle.disconnected:
        return
    if not cycle.response_started or cycle.response_complete or cycle.chunked_encoding is not False:
        raise RuntimeError("a file is sent between the start, with a Content-Length, and the end of a response")
    file, offset, left = message["file"], message.get("offset", 0), message["count"]
    if left > cycle.expected_content_length:
        raise RuntimeError("Response content longer than Content-Length")
    if cycle.scope["method"] == "HEAD":
        left = 0
    loop, copying = asyncio.get_running_loop(), False
    while left:
        if cycle.disconnected or cycle.transport.is_closing():
            # Nobody is there to hear the rest, which is no fault of the application's.
            cycle.disconnected = True
            return
        if copying:
            data = await loop.run_in_executor(None, os.pread, file.fileno(), min(left, _COPIED), offset)
            sent = len(data)
            await cycle.send({"type": "http.response.body", "body": data, "more_body": True})
        else:
            try:
                sent = await loop.sendfile(cycle.transport, file, offset, min(left, SLICE), fallback=False)
            except SendfileNotAvailableError:
                # Either the file is of a kind that the kernel cannot send, or the client is gone: writing tells.
                copying = True
                continue
            except ConnectionError:
                cycle.transport.abort()
                continue
            cycle.expected_content_length -= sent
        if not sent:
            raise OSError("a file ended before what was to be sent of it")
        offset, left = offset + sent, left - sent
    if not message.get("more_body", False):
        await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})
