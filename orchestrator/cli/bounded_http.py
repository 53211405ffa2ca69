"""HTTP heads within bounds, and files sent without a copy: whoever sends endless headers, or none, is hung up on.

The parser beneath keeps whatever arrives and waits for ever, for strangers too: no key is asked for before a request
has a head.
"""

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from orchestrator.cli.body_reading import READ_BODY, BodyReader
from orchestrator.cli.doorway import Doorway
from orchestrator.cli.file_sending import ZERO_COPY, send_or_file
from orchestrator.cli.whole_answers import SEND_WHOLE, send_whole

# Bytes of a head, of trailers or of a chunk's extensions beyond the first piece read.
LARGEST_HEAD = 64 * 1024
HEAD_SECONDS = 20.0


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP protocol with a bound on what comes without being a body, and on how long a head takes."""

    def __init__(self, *args: Any, doorway: Doorway | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._doorway = doorway
        self._in_head = True
        self._moved = False
        self._idle_bytes = 0
        self._reader: BodyReader | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        if self._doorway is not None:
            self._doorway.give_up(self)
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        if self._doorway is None:
            super().handle_websocket_upgrade()
        else:
            self._doorway.come(self, partial(self._enter, self._doorway))

    def _enter(self, doorway: Doorway) -> None:
        """Make a WebSocket of the connection, which leaves the doorway itself from then on."""
        entered = False
        try:
            if not self.transport.is_closing():
                super().handle_websocket_upgrade()
                entered = True
        finally:
            if not entered:
                doorway.leave()

    def data_received(self, data: bytes) -> None:
        if self._doorway is not None and self._doorway.is_waiting(self):
            # Nobody speaks before its handshake is answered.
            self.transport.close()
            return
        self._moved = False
        super().data_received(data)
        self._idle_bytes = 0 if self._moved else self._idle_bytes + len(data)
        if self._idle_bytes > LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")
        # Most heads are whole by now, and need no timer.
        if self._in_head:
            self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers are no part of what was signed, and nothing here asks for them.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._moved = True
        if self._reader is not None and self._reader.cycle is self.cycle and not self.cycle.response_complete:
            self._reader.take(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._moved = True
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        async def extended(scope: Any, receive: Any, send: Any) -> None:
            extensions: dict[str, Any] = {
                READ_BODY: partial(self._read_body, cycle),
                SEND_WHOLE: partial(send_whole, cycle),
            }
            if self.scheme == "http":
                extensions[ZERO_COPY] = {}
                send = partial(send_or_file, cycle, send)
            scope["extensions"] = extensions
            await app(scope, receive, send)

        super()._start_asgi_task(cycle, extended)

    async def _read_body(
        self,
        cycle: RequestResponseCycle,
        buffer: memoryview | None,
        stalls_after: float,
        within: float | None = None,
    ) -> int:
        if self._reader is None or self._reader.cycle is not cycle:
            self._reader = BodyReader(cycle)
        return await self._reader.read(buffer, stalls_after, within)

    def _await_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _end_head(self) -> None:
        self._in_head = False
        self._moved = True
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.cycle is not None and not self.cycle.response_complete:
            # The half of a next head came early, while an answer is still on its way: that is not cut off.
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)
            return
        self.transport.close()
