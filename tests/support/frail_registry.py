"""A store and a storage in which a process can end, or somebody else come in between, at every step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from typing import TypeVar

from kit.clock import ManualClock
from registry.storage.memory import MemoryStorage
from state.store import Session, Store

T = TypeVar("T")


class Crash(BaseException):
    """The process ends here, like by kill -9."""


class Steps:
    """Counts the steps of whoever works, and does something at one of them."""

    def __init__(self) -> None:
        self._left = 0
        self._then: Callable[[], None] | None = None

    @contextmanager
    def at(self, number: int, then: Callable[[], None]) -> Iterator[None]:
        """Do something before the step of that number, if there are so many, and once."""
        before = self._left, self._then
        self._left, self._then = number, then
        try:
            yield
        finally:
            self._left, self._then = before

    def pass_by(self) -> None:
        if self._then is None:
            return
        if self._left:
            self._left -= 1
            return
        then, self._then = self._then, None
        then()


class FrailStore(Store):
    """A store in which transactions are steps: something may happen before one, and after it is committed."""

    def __init__(self, store: Store, steps: Steps) -> None:
        self.__dict__.update(store.__dict__)
        self._steps = steps

    def read(self, work: Callable[[Session], T]) -> T:
        self._steps.pass_by()
        return super().read(work)

    def transact(self, work: Callable[[Session], T]) -> T:
        self._steps.pass_by()
        done = super().transact(work)
        self._steps.pass_by()
        return done


class FrailStorage(MemoryStorage):
    """A storage in memory that outlives the process, and in which every change is a step."""

    def __init__(self, clock: ManualClock, steps: Steps) -> None:
        super().__init__(clock=clock)
        self._steps = steps

    def start(self, upload: str) -> None:
        self._steps.pass_by()
        super().start(upload)

    def take(self, upload: str, spool: bytearray, data: bytes | bytearray | memoryview) -> None:
        self._steps.pass_by()
        super().take(upload, spool, data)

    def keep(self, upload: str, digest: str) -> None:
        self._steps.pass_by()
        super().keep(upload, digest)
        self._steps.pass_by()

    def drop(self, upload: str) -> None:
        self._steps.pass_by()
        super().drop(upload)

    def delete(self, digest: str) -> None:
        self._steps.pass_by()
        super().delete(digest)
        self._steps.pass_by()


class FlowingClock(ManualClock):
    """Who waits on it finds that the time has passed."""

    def wait(self, event: Event, timeout: timedelta) -> bool:
        self.tick(seconds=timeout.total_seconds())
        return event.is_set()
