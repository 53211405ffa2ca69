"""WebSockets whose silence is held against the other end only where it is its own.

Each end is asked every few seconds whether it is there. Its answer may lie unread because we are too busy to read what
it sent before; the question may lie behind much that is still on its way, on a slow line; and who sits before a
terminal may look at one page for longer than an agent may be silent.
"""

import array
import fcntl
import termios
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from orchestrator.agents.handshake import HUNG_UP
from orchestrator.cli.doorway import Doorway

# Where people's sessions are, and how long their ends may be silent, in seconds.
TERMINALS = "/exec/"
TERMINAL_SECONDS = 120.0
# Ends are asked in turns of so many seconds: a turn of the event loop for each of thousands costs more than to ask.
TURN_SECONDS = 0.1


class PatientWebSockets(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol with a sense of whose fault a silence is."""

    def __init__(self, *args: Any, doorway: Doorway | None = None, **kwargs: Any) -> None:
        """It has entered by the ``doorway`` already."""
        super().__init__(*args, **kwargs)
        self._doorway = doorway
        self._on_the_way = 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave_doorway()
        super().connection_lost(exc)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, Any] = {**self.scope["extensions"], HUNG_UP: lambda: self.disconnected}
            self.scope["extensions"] = extensions

    def start_keepalive(self) -> None:
        self._leave_doorway()
        if self.scope["path"].startswith(TERMINALS):
            self.ping_timeout = TERMINAL_SECONDS
        super().start_keepalive()

    def schedule_ping(self) -> None:
        assert self.ping_interval is not None
        due = self.loop.time() + max(0.0, self.ping_interval - self.last_ping_rtt)
        # The turn before, so that nobody's silence is noticed later.
        self.ping_timer = self.loop.call_at(due - due % TURN_SECONDS, self.send_keepalive_ping)

    def send_keepalive_ping(self) -> None:
        super().send_keepalive_ping()
        self._on_the_way = self.on_the_way()

    def keepalive_timeout(self) -> None:
        before, self._on_the_way = self._on_the_way, self.on_the_way()
        # What it said last is not taken in yet, and its answer comes after that; or it is still taking in what came
        # before the question.
        may_answer = self.read_paused or 0 < self._on_the_way < before
        if may_answer and self.ping_timeout is not None and not self.transport.is_closing():
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
            return
        super().keepalive_timeout()

    def _leave_doorway(self) -> None:
        """The handshake is done, or there is nobody to do it with."""
        doorway, self._doorway = self._doorway, None
        if doorway is not None:
            doorway.leave()

    def on_the_way(self) -> int:
        """How many bytes the other end has not acknowledged; 0 where nobody can tell."""
        line = self.transport.get_extra_info("socket")
        queued = array.array("i", [0])
        try:
            fcntl.ioctl(line.fileno(), termios.TIOCOUTQ, queued)
        except (OSError, AttributeError):
            return 0
        return queued[0] + self.transport.get_write_buffer_size()
