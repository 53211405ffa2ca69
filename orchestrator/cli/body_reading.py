"""Bodies read into the application's own memory: large pieces, and few copies and turns of the loop on the way.

An extension of ASGI's ``receive`` that Berth's server offers as ``berth.http.read_body``: an awaitable that fills a
buffer with what comes next of the body, or without one waits until something has come, so that nobody need hold a
buffer for a client that is silent. An application uses the one or the other for a request.
"""

import asyncio

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

READ_BODY = "berth.http.read_body"


class BodyReader:
    """Reads one request's body."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self.cycle = cycle
        self._buffer: memoryview | None = None
        self._filled = 0
        self._is_awaited = False

    async def read(self, buffer: memoryview | None, stalls_after: float, within: float | None = None) -> int:
        """Fill the buffer, and say how far: less than all of it, and in the end 0, only when the body is over.

        Less also when nothing came for ``stalls_after`` seconds, when ``within`` seconds are over, or the client hung
        up. When there is nothing to give then, it raises TimeoutError or ConnectionError. Without a buffer it says how
        many bytes wait, as soon as there are any.
        """
        cycle = self.cycle
        if cycle.waiting_for_100_continue and not cycle.transport.is_closing():
            cycle.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False
        self._filled = 0
        if buffer is None:
            return await self._await_some(stalls_after)
        self._buffer = buffer
        until = None if within is None else asyncio.get_running_loop().time() + within
        try:
            kept, cycle.body = cycle.body, bytearray()
            self.take(kept)
            while self._filled < len(buffer) and cycle.more_body and not cycle.disconnected:
                cycle.message_event.clear()
                cycle.flow.resume_reading()
                before = self._filled
                try:
                    async with asyncio.timeout(stalls_after), asyncio.timeout_at(until):
                        await cycle.message_event.wait()
                except TimeoutError:
                    if self._filled == 0:
                        raise
                    if self._filled == before or until is not None:
                        break
            if self._filled == 0 and cycle.more_body:
                raise ConnectionError("the client hung up")
            return self._filled
        finally:
            self._buffer = None

    async def _await_some(self, stalls_after: float) -> int:
        cycle = self.cycle
        while not cycle.body and cycle.more_body and not cycle.disconnected:
            cycle.message_event.clear()
            cycle.flow.resume_reading()
            self._is_awaited = True
            try:
                async with asyncio.timeout(stalls_after):
                    await cycle.message_event.wait()
            finally:
                self._is_awaited = False
        if not cycle.body and cycle.more_body:
            raise ConnectionError("the client hung up")
        return len(cycle.body)

    def take(self, data: bytes | bytearray) -> None:
        """Put what has come where the application wants it; what has no room there waits."""
        cycle, room = self.cycle, 0
        if self._buffer is not None:
            room = min(len(data), len(self._buffer) - self._filled)
            self._buffer[self._filled : self._filled + room] = data[:room]
            self._filled += room
            if self._filled == len(self._buffer):
                cycle.message_event.set()
        if room < len(data):
            cycle.body += data[room:]
            if self._is_awaited:
                cycle.message_event.set()
        # The application is told of whole buffers, and of the end; nothing more is read until it asks for it.
        if len(cycle.body) > HIGH_WATER_LIMIT or (self._buffer is not None and self._filled == len(self._buffer)):
            cycle.flow.pause_reading()
