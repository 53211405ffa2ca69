"""Working inside other network namespaces: each piece of work in a thread of its own, which ends with it.

So no thread that goes on living is ever left in a namespace that is not its own.
"""

import ctypes
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

NEW_NETWORK = 0x40000000
# What engines put into their containers.
CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")
# Where these are, an engine runs beside this process: it is in the engine's own namespace, container or not.
ENGINE_BRIDGES = ("docker", "br-", "podman")
T = TypeVar("T")


def make_namespace() -> int:
    """A new network namespace, as a file descriptor; it lives as long as that, or as a socket in it. Raises OSError."""

    def make() -> int:
        _check(_libc().unshare(NEW_NETWORK))
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    return _apart(make)


def inside(namespace: int, work: Callable[[], T]) -> T:
    """Do ``work`` in the network namespace of a file descriptor. Raises OSError, and what ``work`` raises."""

    def enter() -> T:
        _check(_libc().setns(namespace, NEW_NETWORK))
        return work()

    return _apart(enter)


def open_namespace(pid: int, runtime_id: str) -> int:
    """The network namespace of a container's process. Raises OSError, also when that process is another one here."""
    place = Path(f"/proc/{pid}")
    namespace = os.open(place / "ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        seen = (place / "cgroup").read_text() + (place / "mountinfo").read_text()
        if runtime_id not in seen:
            raise ProcessLookupError(f"process {pid} is not the container's: the engine's processes are not seen here")
    except BaseException:
        os.close(namespace)
        raise
    return namespace


def open_host_namespace() -> int:
    """The engine's own network namespace: this thread's, or in a container the one of the machine's first process.

    Raises OSError, also in a container that does not see the machine's processes.
    """
    in_container = any(Path(mark).exists() for mark in CONTAINER_MARKS)
    if not in_container or any(name.startswith(ENGINE_BRIDGES) for _, name in socket.if_nameindex()):
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if Path("/proc/1/root").samefile("/"):
        raise ProcessLookupError("the agent runs in a container and does not see the machine's processes")
    return os.open("/proc/1/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _apart(work: Callable[[], T]) -> T:
    answers: list[T] = []
    troubles: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:
            troubles.append(error)

    thread = threading.Thread(target=run, name="namespace")
    thread.start()
    thread.join()
    if troubles:
        raise troubles[0]
    return answers[0]


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(answer: int) -> None:
    if answer != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
