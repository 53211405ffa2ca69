"""Processes on this machine: finding ours again by their command line, ending them in order, and locks on folders.

A pid in a file may be stale or another's by now; a command line that names our own data directory is not.
"""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Event

from kit.clock import Clock


class AlreadyLocked(Exception):
    """Another process holds the lock."""


class FolderLock:
    """A lock that ends with its process, however that ends."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Who only asks whether it is locked holds it for an instant too.
        for pause in (0.01, 0.02, 0.05, None):
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if pause is not None:
                    Event().wait(pause)
        os.close(self._handle)
        raise AlreadyLocked(str(path))

    def release(self) -> None:
        os.close(self._handle)


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock."""
    if not path.exists():
        return False
    try:
        FolderLock(path).release()
    except AlreadyLocked:
        return True
    return False


def python_module(name: str) -> list[str]:
    """The words that run a module of Berth in a process of its own."""
    # Without -P the folder one stands in comes before everything else: whoever may write there would be run.
    return [sys.executable, "-P", "-m", name]


def find_processes(words: Sequence[str]) -> list[int]:
    """The pids of ours whose command line holds ``words`` next to each other, in order. Linux's /proc is asked.

    Anybody may start a process with any command line: another user's is passed over. Root looks after the processes
    of whoever owns the path that ``words`` end in, too.
    """
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if pid != os.getpid() and is_process(pid, words)]


def await_command_line(child: "subprocess.Popen[bytes]", words: Sequence[str]) -> None:
    """Return once ``child`` can be found by its ``words``: for an instant after its start it has none of its own."""
    for _ in range(10_000):
        if is_process(child.pid, words) or child.poll() is not None:
            return
        os.sched_yield()


def is_process(pid: int, words: Sequence[str]) -> bool:
    """Whether the process lives, is ours, and its command line holds ``words`` next to each other."""
    entry = Path("/proc") / str(pid)
    try:
        if entry.stat().st_uid not in _owners(words):
            return False
        line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        return any(line[i : i + len(words)] == list(words) for i in range(len(line))) and not _is_zombie(entry)
    except OSError:
        return False


def end_processes(words: Sequence[str], clock: Clock, *, patience: timedelta = timedelta(seconds=10)) -> None:
    """End them by SIGTERM and, those still there after ``patience``, by SIGKILL; return when they are gone."""
    deadline = clock.now() + patience
    for pid in find_processes(words):
        _signal(pid, signal.SIGTERM)
    never = Event()
    while pids := find_processes(words):
        if clock.now() >= deadline:
            for pid in pids:
                _signal(pid, signal.SIGKILL)
        clock.wait(never, timedelta(milliseconds=50))


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _owners(words: Sequence[str]) -> set[int]:
    owners = {os.geteuid()}
    if words and owners == {0}:
        with suppress(OSError):
            owners.add(Path(words[-1]).stat().st_uid)
    return owners


def _is_zombie(entry: Path) -> bool:
    # The state stands behind the command's name, which itself may hold brackets and blanks.
    return (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
