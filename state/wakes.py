"""Wakes: "look again" messages, the fast path between whoever writes and whoever reacts.

A wake carries no data and may be lost: every listener also looks again on a timer. Within a process wakes are
callbacks; between processes on PostgreSQL they ride on NOTIFY, delivered when the writing transaction commits.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)
CHANNEL = "berth_wakes"
# PostgreSQL takes less than 8,000 bytes in one notification.
MOST_BYTES = 7900


class Wakes:
    """The wake bus of one process."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Callable[[], None]]] = defaultdict(list)
        self._lock = threading.Lock()

    def listen(self, name: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` (quick, thread-safe) at each wake of ``name``; the answer stops listening."""
        with self._lock:
            self._listeners[name].append(callback)

        def stop() -> None:
            with self._lock:
                listeners = self._listeners.get(name, [])
                if callback in listeners:
                    listeners.remove(callback)
                if not listeners:
                    self._listeners.pop(name, None)

        return stop

    def send(self, names: Iterable[str]) -> None:
        with self._lock:
            known = self._listeners
            callbacks = [callback for name in names if name in known for callback in known[name]]
        for callback in callbacks:
            callback()

    def send_all(self) -> None:
        """Wake everyone: after a gap in which wakes may have been lost."""
        with self._lock:
            names = tuple(self._listeners)
        self.send(names)


def payloads(names: Iterable[str]) -> list[str]:
    """The names in as few notifications as carry them; the listener takes each apart again."""
    found: list[list[str]] = []
    room = 0
    for name in sorted(names):
        size = len(name.encode()) + 1
        if size > room:
            found.append([])
            room = MOST_BYTES
        found[-1].append(name)
        room -= size
    return ["\n".join(group) for group in found]


class WakeListener:
    """Hears the wakes of other processes on one PostgreSQL connection and hands them to the local bus."""

    def __init__(self, conninfo: str, wakes: Wakes) -> None:
        self._conninfo = conninfo
        self._wakes = wakes
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wakes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        import psycopg  # only a process on PostgreSQL pays for it

        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._wakes.send_all()
                    while not self._stopping.is_set():
                        for notification in connection.notifies(timeout=1.0, stop_after=1):
                            self._wakes.send(notification.payload.split("\n"))
            except psycopg.Error as error:
                log.warning("wake listener lost its connection", extra={"because": str(error)})
                self._stopping.wait(1.0)
