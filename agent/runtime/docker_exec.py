"""A command with a terminal in a container of a Docker Engine."""

import os
import signal
import socket
import threading
from contextlib import suppress
from typing import Any

from agent.runtime import NotFound, Refused, RuntimeTrouble
from agent.runtime.docker_errors import translated

CHUNK = 32 * 1024


class DockerExec:
    """One running command. ``close`` ends it: the engine itself would let it run on."""

    def __init__(self, api: Any, exec_id: str, *, local: bool) -> None:
        self._api = api
        self._id = exec_id
        self._local = local
        self._closed = False
        self._lock = threading.Lock()
        with translated():
            opened = api.exec_start(exec_id, tty=True, socket=True)
        # Kept, because the connection closes with it.
        self._opened = opened
        self._socket: socket.socket = getattr(opened, "_sock", opened)
        # The first bytes may have come with the answer's head, and lie in its buffer.
        self._reader: Any = opened._response.raw._fp.fp
        # A person may think for longer than any call lasts.
        self._socket.settimeout(None)

    def read(self) -> bytes:
        """What it prints; empty at its end."""
        try:
            return bytes(self._reader.read1(CHUNK))
        except (OSError, ValueError):
            return b""

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def resize(self, cols: int, rows: int) -> None:
        # It may have ended meanwhile.
        with suppress(Refused, NotFound), translated():
            self._api.exec_resize(self._id, height=rows, width=cols)

    def exit_code(self) -> int:
        with translated():
            return int(self._api.exec_inspect(self._id).get("ExitCode") or 0)

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._opened.close()
        with suppress(RuntimeTrouble):
            self._hang_up()

    def _hang_up(self) -> None:
        """As a terminal that is closed does."""
        with translated():
            seen = self._api.exec_inspect(self._id)
        pid = int(seen.get("Pid") or 0)
        if self._local and seen.get("Running") and pid > 0:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGHUP)
