"""WebSockets whose silence is held against the other end only where it is its own.

Each end is asked every few seconds whether it is there. Its answer may lie unread because we are too busy to read what
it sent before, and who sits before a terminal may look at one page for longer than an agent may be silent.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# Where people's sessions are, and how long their ends may be silent, in seconds.
TERMINALS = "/exec/"
TERMINAL_SECONDS = 120.0


class PatientWebSockets(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol with a sense of whose fault a silence is."""

    def start_keepalive(self) -> None:
        if self.scope["path"].startswith(TERMINALS):
            self.ping_timeout = TERMINAL_SECONDS
        super().start_keepalive()

    def keepalive_timeout(self) -> None:
        if self.read_paused and self.ping_timeout is not None and not self.transport.is_closing():
            # What it said last is not taken in yet, and its answer comes after that.
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
            return
        super().keepalive_timeout()
