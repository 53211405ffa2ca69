"""Flights: any number of askers for the same thing at the same time, and one that fetches it.

The fetching goes on in a few threads of its own, whatever becomes of those who asked, and ends with the process. A
failure is told to those who ask within the next moment, too, and then forgotten.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from kit.clock import Clock

log = logging.getLogger(__name__)
T = TypeVar("T")
FAILED_FOR = timedelta(seconds=2)
_REMEMBERED = 1000


class Flights(Generic[T]):
    """Fetches by key, ``most`` at the same time. Any thread may ask."""

    def __init__(self, name: str, *, most: int, clock: Clock) -> None:
        self._name = name
        self._most = most
        self._clock = clock
        self._flying: dict[Hashable, Future[T]] = {}
        self._failed: dict[Hashable, tuple[Exception, datetime]] = {}
        self._queue: deque[tuple[Hashable, Future[T], Callable[[Callable[[T], None]], None]]] = deque()
        lock = threading.RLock()
        self._lock = threading.Condition(lock)
        self._ended = threading.Condition(lock)
        self._workers = self._idle = 0

    def join(self, key: Hashable, work: Callable[[Callable[[T], None]], None]) -> "Future[T]":
        """What is being fetched under the key, or else what ``work`` fetches.

        ``work`` calls the function it is given with what it has found, maybe long before it returns; until then
        others join it.
        """
        with self._lock:
            flying = self._flying.get(key)
            if flying is not None:
                return flying
            future: Future[T] = Future()
            failed = self._failed.pop(key, None)
            if failed is not None and self._clock.now() < failed[1]:
                self._failed[key] = failed
                future.set_exception(failed[0])
                return future
            # Running at once: nobody's loss of interest takes it from the others.
            future.set_running_or_notify_cancel()
            self._flying[key] = future
            self._queue.append((key, future, work))
            if len(self._queue) <= self._idle or self._workers == self._most:
                self._lock.notify()
            else:
                self._workers += 1
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
            return future

    def wait(self, key: Hashable) -> None:
        """Wait until nothing is being fetched under the key, also what was announced."""
        with self._ended:
            self._ended.wait_for(lambda: key not in self._flying)

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._queue:
                    self._idle += 1
                    self._lock.wait()
                    self._idle -= 1
                key, future, work = self._queue.popleft()
            failure: Exception | None = None
            try:
                work(future.set_result)
            except Exception as error:
                failure = error
            with self._lock:
                del self._flying[key]
                self._ended.notify_all()
                if failure is not None and not future.done():
                    if len(self._failed) >= _REMEMBERED:
                        self._failed.clear()
                    self._failed[key] = (failure, self._clock.now() + FAILED_FOR)
            if failure is not None and not future.done():
                future.set_exception(failure)
            elif failure is not None:
                log.warning("not fetched to its end", extra={"what": str(key), "because": str(failure)})
