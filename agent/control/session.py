"""One WebSocket kept open for ever: dialled, listened to, renewed, and dialled again with back-off.

A clean close is followed by a new dial at once; an error backs off from 250 ms to 15 seconds, so that a control plane
that was away sees its hosts again before it gives up what runs there; an inactive container instance waits an hour, and
one whose key is refused ever longer.
A socket whose other end does not answer any more is dead within seconds; the kernel asks.
"""

import json
import random
import socket as sockets
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import websockets
from websockets.sync.client import ClientConnection, connect

from agent.control.aws import Aws
from agent.control.refusal import NOT_KNOWN
from agent.control.silence import CONNECT_S, notice_silence
from agent.log import facts
from kit.clock import Clock, backoff

RETRY_FIRST = timedelta(milliseconds=250)
RETRY_MOST = timedelta(seconds=15)
INACTIVE_PAUSE = timedelta(hours=1)
SILENCE = timedelta(minutes=1)
RENEWAL = timedelta(minutes=30)
OPEN_TIMEOUT_S = 15
FRAME_MOST = 16 * 1024 * 1024
JITTER = 0.2
INACTIVE = "InactiveInstanceException"

log = facts(__name__)


class Listener(Protocol):
    """What a session does with its socket. Called on the session's own thread."""

    def query(self) -> Mapping[str, str]:
        """The parameters of the socket's URL."""
        ...

    def opened(self) -> None: ...

    def received(self, kind: str, message: Mapping[str, Any]) -> bool:
        """Take one frame; False asks for the socket to be closed and opened anew."""
        ...


class Session:
    """A socket to ``door()``; ``send`` may be called on any thread."""

    def __init__(
        self,
        *,
        name: str,
        door: Callable[[], str],
        aws: Aws,
        clock: Clock,
        seed: int | None = None,
        silence: timedelta = SILENCE,
    ) -> None:
        self._name = name
        self._door = door
        self._aws = aws
        self._clock = clock
        self._chance = random.Random(seed)  # noqa: S311
        self._silence = silence
        self._socket: ClientConnection | None = None
        self._opened_at: datetime | None = None
        self._sending = threading.Lock()
        self._stopped = threading.Event()

    def send(self, kind: str, message: Mapping[str, Any]) -> bool:
        """Send one frame; False when there is no socket to send it on."""
        socket = self._socket
        if socket is None:
            return False
        try:
            with self._sending:
                socket.send(json.dumps({"type": kind, "message": message}))
        except (websockets.WebSocketException, OSError):
            return False
        return True

    @property
    def connected(self) -> bool:
        return self._socket is not None

    def run(self, listener: Listener) -> None:
        """Keep the socket open until ``stop``."""
        failures = 0
        while not self._stopped.is_set():
            try:
                self._serve(listener)
                failures = 0
                continue
            except websockets.InvalidStatus as error:
                refusal = bytes(error.response.body or b"").decode("utf-8", "replace")
                because = f"HTTP {error.response.status_code} {refusal[:300]}"
                if INACTIVE in refusal:
                    log.warning("container instance inactive", socket=self._name)
                    self._clock.wait(self._stopped, INACTIVE_PAUSE)
                    continue
                if any(code in refusal for code in NOT_KNOWN):
                    self._aws.refusal.happened(because)
            except Exception as error:
                # Whatever the network does to a socket, the answer is the same: dial again later.
                because = repr(error)
            # One that went well for a while was no failure, however it ended.
            failures = 1 if self._lasted() else failures + 1
            # What is gone for one connection is gone for those that are kept.
            self._aws.close()
            pause = backoff(failures, first=RETRY_FIRST, most=RETRY_MOST)
            pause *= 1 + JITTER * self._chance.random()
            if rest := self._aws.refusal.rest:
                # That has been said, once for all.
                pause = max(pause, rest)
            else:
                log.warning("socket lost", socket=self._name, because=because, retry_s=pause.total_seconds())
            self._clock.wait(self._stopped, pause)

    def _lasted(self) -> bool:
        opened_at, self._opened_at = self._opened_at, None
        return opened_at is not None and self._clock.now() - opened_at >= RETRY_MOST

    def stop(self) -> None:
        """Close the socket for good."""
        self._stopped.set()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the socket; ``run`` dials again."""
        if socket := self._socket:
            socket.close()

    def _serve(self, listener: Listener) -> None:
        with self._dial(listener.query()) as socket:
            self._socket = socket
            self._opened_at = self._clock.now()
            try:
                log.info("socket open", socket=self._name)
                listener.opened()
                self._listen(socket, listener)
            finally:
                self._socket = None
        log.info("socket closed", socket=self._name)

    def _dial(self, query: Mapping[str, str]) -> ClientConnection:
        return dial(self._aws, f"{self._door().rstrip('/')}/ws?{urlencode(query)}")

    def _listen(self, socket: ClientConnection, listener: Listener) -> None:
        renew_at = self._clock.now() + RENEWAL + timedelta(minutes=5 * self._chance.random())
        silence = self._silence * (1 + self._chance.random())
        while not self._stopped.is_set():
            now: datetime = self._clock.now()
            if now >= renew_at:
                return
            try:
                frame = socket.recv(timeout=min(silence, renew_at - now).total_seconds())
            except TimeoutError:
                if self._clock.now() < renew_at:
                    raise
                return
            except websockets.ConnectionClosedOK:
                return
            if not self._take(frame, listener):
                return

    def _take(self, frame: str | bytes, listener: Listener) -> bool:
        kind, message = read_frame(frame)
        if kind is None:
            log.warning("frame not understood", socket=self._name, begins=str(frame[:80]))
            return True
        try:
            return listener.received(kind, message)
        except Exception:
            log.surprise("frame not handled", socket=self._name, kind=kind)
            return True


def dial(aws: Aws, url: str) -> ClientConnection:
    """A signed socket to the control plane. Raises WebSocketException and OSError."""
    headers = aws.signed("GET", url, {}, b"")
    parts = urlsplit(url)
    secure = parts.scheme in ("https", "wss")
    # A control plane that is there may take its time, when all agents dial at once.
    line = sockets.create_connection((parts.hostname, parts.port or (443 if secure else 80)), CONNECT_S)
    try:
        line.settimeout(None)
        notice_silence(line)
        return connect(
            parts._replace(scheme="wss" if secure else "ws").geturl(),
            sock=line,
            additional_headers=headers,
            compression=None,
            ping_interval=None,
            proxy=None,
            ssl=aws.trust if secure else None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=2,
            max_size=FRAME_MOST,
        )
    except BaseException:
        line.close()
        raise


def read_frame(frame: str | bytes) -> tuple[str | None, Mapping[str, Any]]:
    """``{"type", "message"}`` taken apart; no type when the frame is nonsense."""
    try:
        read = json.loads(frame)
    except ValueError:
        return None, {}
    if not isinstance(read, dict) or not isinstance(read.get("type"), str):
        return None, {}
    message = read.get("message")
    return read["type"], message if isinstance(message, dict) else {}
