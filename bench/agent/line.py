"""An agent's side of a WebSocket that costs next to nothing, so that thousands on one core leave the other's alone.

It knows as much of the protocol as it meets here: whole frames of text, questions whether it is there, and the close.
"""

import asyncio
import os
from base64 import b64encode
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
CLEAN = (1000, 1001)
OPEN_TIMEOUT_S = 15


class Line(asyncio.Protocol):
    """One connection. ``heard`` is given every text; ``closed`` tells whether it ended in order."""

    def __init__(self, head: bytes, heard: Callable[["Line", str], None]) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[bool] = loop.create_future()
        self._head = head
        self._heard = heard
        self._buffer = bytearray()
        self._in_order = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(self._head)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionRefusedError("the handshake was refused"))
            # Whoever gave up meanwhile does not ask.
            self.opened.exception()
        if not self.closed.done():
            self.closed.set_result(self._in_order)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.opened.done():
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self.close()
                return
            self._buffer = rest
            self.opened.set_result(None)
        while (frame := self._frame()) is not None:
            opcode, body = frame
            if opcode == TEXT:
                self._heard(self, body.decode())
            elif opcode == PING:
                self._send(PONG, body)
            elif opcode == CLOSE:
                self._in_order = int.from_bytes(body[:2], "big") in CLEAN
                self.close()

    def say(self, text: str) -> None:
        self._send(TEXT, text.encode())

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _frame(self) -> tuple[int, bytes] | None:
        """The next whole frame, taken out of the buffer."""
        if len(self._buffer) < 2:
            return None
        size, start = self._buffer[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(self._buffer[2:start], "big")
        if len(self._buffer) < start + size:
            return None
        opcode, body = self._buffer[0] & 0xF, bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        return opcode, body

    def _send(self, opcode: int, body: bytes) -> None:
        size = bytes([0x80 | len(body)]) if len(body) < 126 else b"\xfe" + len(body).to_bytes(2, "big")
        # A mask of zeros is one that a client may choose.
        if self._transport is not None:
            self._transport.write(bytes([0x80 | opcode]) + size + bytes(4) + body)


async def dial(url: str, headers: Mapping[str, str], heard: Callable[[Line, str], None]) -> Line:
    """Open a WebSocket; raises OSError when it is refused, and TimeoutError as an agent would."""
    parts = urlsplit(url)
    lines = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Host": parts.netloc}
    lines |= {"Sec-WebSocket-Key": b64encode(os.urandom(16)).decode()} | dict(headers)
    told = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    head = f"GET {parts.path}?{parts.query} HTTP/1.1\r\n{told}\r\n".encode()
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(OPEN_TIMEOUT_S):
        _, line = await loop.create_connection(lambda: Line(head, heard), parts.hostname or "", parts.port or 80)
        try:
            await line.opened
        except BaseException:
            line.close()
            raise
    return line
