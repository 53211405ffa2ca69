"""Turns: a lock that is given in the order in which it was asked for.

``threading.Lock`` goes to whoever is quickest, and that is who has just let go of it: a loop that writes one
transaction after another would keep every other writer waiting.
"""

import threading
from collections import deque
from types import TracebackType


class Turns:
    """One holder at a time, first come, first served. ``with turns: …``"""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._queue: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._queue.append(mine)
        try:
            mine.acquire()  # until who was before lets go
        except BaseException:
            self._leave(mine)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pass_on()

    def _leave(self, mine: threading.Lock) -> None:
        """Interrupted while waiting: stand in nobody's way, and pass the turn on if it has come meanwhile."""
        with self._guard:
            waits = mine in self._queue
            if waits:
                self._queue.remove(mine)
        if not waits:
            self._pass_on()

    def _pass_on(self) -> None:
        with self._guard:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._held = False
