"""HTTP over a plain socket, for a client that costs next to nothing beside the servers it measures.

Bodies that nobody wants to see are dropped by the kernel (``MSG_TRUNC``): their bytes arrive, but are not copied here.
Imports nothing of Berth's, so that the processes of clients start at once.
"""

import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PATIENCE_SECONDS = 120
_PIECE = 1 << 20


class BadAnswer(Exception):
    """A server answered something else than it should, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; ``body`` is empty where it was dropped, ``length`` its bytes all the same."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    length: int


class Connection:
    """One kept connection to ``127.0.0.1:port``; ``headers`` are whole lines that go with every request."""

    def __init__(self, port: int, headers: str = "") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        # The kernel's own time limit: Python's would ask it before every single call whether there is something.
        self._socket.settimeout(None)
        patience = struct.pack("ll", PATIENCE_SECONDS, 0)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, patience)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._headers = headers
        self._scratch = bytearray(_PIECE)
        self._more = b""

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        expect: int,
        headers: str = "",
        body: bytes | Iterable[bytes | memoryview] = b"",
        keep: bool = True,
    ) -> Answer:
        """One request; raises BadAnswer. A body of pieces needs its ``Content-Length`` among the headers."""
        self.begin(method, path, headers=headers, body=body)
        return self.end(method, path, expect=expect, keep=keep)

    def begin(self, method: str, path: str, *, headers: str, body: bytes | Iterable[bytes | memoryview]) -> None:
        """Send the head and what there is of the body."""
        if isinstance(body, bytes):
            if method not in ("GET", "HEAD"):
                headers += f"Content-Length: {len(body)}\r\n"
            body = (body,) if body else ()
        self._socket.sendall(head(method, path, self._headers + headers))
        self.send(body)

    def send(self, pieces: Iterable[bytes | memoryview]) -> None:
        for piece in pieces:
            self._socket.sendall(piece)

    def end(self, method: str, path: str, *, expect: int, keep: bool = True) -> Answer:
        """Read the answer; raises BadAnswer for another status than expected."""
        status, headers = self._read_head()
        body, length = b"", 0
        if method != "HEAD" and status != 204:
            keep = keep or status != expect
            if "chunked" in headers.get("transfer-encoding", ""):
                body = self._read_chunks()
                length = len(body)
            else:
                length = int(headers.get("content-length", 0))
                body = self._read(length) if keep else self._drop(length)
        if status != expect:
            raise BadAnswer(f"{method} {path}: {status} instead of {expect}: {body[:300]!r}")
        return Answer(status=status, headers=headers, body=body, length=length)

    def _read_head(self) -> tuple[int, dict[str, str]]:
        while (at := self._more.find(b"\r\n\r\n")) < 0:
            self._receive()
        lines = self._more[:at].decode("latin-1").split("\r\n")
        self._more = self._more[at + 4 :]
        named = (line.partition(":") for line in lines[1:])
        return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in named}

    def _read(self, length: int) -> bytes:
        body = bytearray(self._more[:length])
        self._more = self._more[length:]
        while len(body) < length:
            got = self._socket.recv_into(self._scratch, min(length - len(body), _PIECE))
            if not got:
                raise BadAnswer("the connection ended within a body")
            body += memoryview(self._scratch)[:got]
        return bytes(body)

    def _drop(self, length: int) -> bytes:
        left = length - len(self._more)
        self._more = b"" if left >= 0 else self._more[length:]
        while left > 0:
            got = self._socket.recv_into(self._scratch, min(left, _PIECE), socket.MSG_TRUNC | socket.MSG_WAITALL)
            if not got:
                raise BadAnswer("the connection ended within a body")
            left -= got
        return b""

    def _read_chunks(self) -> bytes:
        body = b""
        while True:
            while (at := self._more.find(b"\r\n")) < 0:
                self._receive()
            size = int(self._more[:at], 16)
            self._more = self._more[at + 2 :]
            body += self._read(size)
            self._read(2)
            if size == 0:
                return body

    def _receive(self) -> None:
        got = self._socket.recv(65536)
        if not got:
            raise BadAnswer("the server hung up")
        self._more += got


def head(method: str, path: str, headers: str) -> bytes:
    """A request's head."""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode()
