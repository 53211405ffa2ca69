"""A command with a terminal in a container of a Docker Engine."""

import os
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.runtime import NotFound, Refused, RuntimeTrouble
from agent.runtime.docker_errors import translated

CHUNK = 32 * 1024
# By what a command is known to be ours: the engine tells of all alike, health checks and other people's included.
EXECUTED = "BERTH_EXECUTED=1"
PROC = Path("/proc")
# The terminal ends with the command's last process, and the engine hears of that a moment later.
LOOKS, BETWEEN_LOOKS_S = 50, 0.1
# What a person would press to leave: interrupt, end of input.
LEAVING = b"\x03\x04"
PRESSED_WITHIN_S = 1.0


class DockerExec:
    """One running command. ``close`` ends it: the engine itself would let it run on."""

    def __init__(self, api: Any, exec_id: str, *, container: str, local: bool, proc: Path = PROC) -> None:
        self._api = api
        self._id = exec_id
        self._container = container
        self._local = local
        self._proc = proc
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
        """Raises Refused where it has closed its terminal and runs on."""
        pause = threading.Event()
        for _ in range(LOOKS):
            with translated():
                seen = self._api.exec_inspect(self._id)
            if not seen.get("Running") and seen.get("ExitCode") is not None:
                return int(seen["ExitCode"])
            if self._closed:
                break
            pause.wait(BETWEEN_LOOKS_S)
        raise Refused("the command has left its terminal and has not ended")

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        with suppress(RuntimeTrouble):
            self._hang_up()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._opened.close()
        # The answer that was turned into a stream holds the socket as well.
        self._socket.close()

    def _hang_up(self) -> None:
        """As a terminal that is closed does; where its process cannot be told, as a person would who leaves."""
        with translated():
            seen = self._api.exec_inspect(self._id)
        pid = int(seen.get("Pid") or 0)
        if not seen.get("Running") or pid <= 0:
            return
        if self._local and is_inside(pid, self._container, self._proc):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGHUP)
            return
        with suppress(OSError):
            self._socket.settimeout(PRESSED_WITHIN_S)
            self._socket.sendall(LEAVING)


def hang_up_left(api: Any, container: str, *, proc: Path = PROC) -> None:
    """Hang up on the commands that ran in the container for an agent that was killed."""
    with translated():
        ids = api.inspect_container(container).get("ExecIDs") or ()
    for exec_id in ids:
        with suppress(NotFound), translated():
            seen = api.exec_inspect(exec_id)
            pid = int(seen.get("Pid") or 0)
            if seen.get("Running") and pid > 0 and is_inside(pid, container, proc) and _is_ours(pid, proc):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGHUP)


def is_inside(pid: int, container: str, proc: Path) -> bool:
    """Whether the process of this number is the container's: the engine may count in another namespace than we."""
    try:
        return container in (proc / str(pid) / "cgroup").read_text()
    except OSError:
        return False


def _is_ours(pid: int, proc: Path) -> bool:
    try:
        return EXECUTED.encode() in (proc / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
