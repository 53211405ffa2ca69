"""Processes: what can be killed. A process that meets its end raises Killed out of whatever it was doing."""

import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from kit.clock import Clock
from state.store import Session, Store
from state.wakes import Wakes

T = TypeVar("T")
At = Callable[[str], None]


class Killed(BaseException):
    """The process is gone at this instant; nothing of it runs on, not even its ``except Exception``."""


class SkewedClock:
    """A process' own clock: the world's, and some way off it."""

    def __init__(self, clock: Clock, skew: timedelta) -> None:
        self._clock = clock
        self._skew = skew

    def now(self) -> datetime:
        return self._clock.now() + self._skew

    def wait(self, event: threading.Event, timeout: timedelta) -> bool:
        raise AssertionError("nobody waits in a simulation")


class Life:
    """One run of a process, from its start to its death."""

    def __init__(self) -> None:
        self.alive = True


class SharedWakes(Wakes):
    """One bus for all processes, as NOTIFY is; ``heard`` is told every name, in an order that does not vary."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        super().__init__()
        self._heard = heard

    def send(self, names: Iterable[str]) -> None:
        for name in sorted(names):
            self._heard(name)


class ProcessStore(Store):
    """The store as one process has it open: before and after each transaction it says so, and may die there."""

    def __init__(self, store: Store, wakes: Wakes, at: At, wrote: Callable[[], None]) -> None:
        self.__dict__.update(store.__dict__)
        self.wakes = wakes
        self._at = at
        self._wrote = wrote

    def read(self, work: Callable[[Session], T]) -> T:
        self._at("before reading")
        answer = super().read(work)
        self._at("after reading")
        return answer

    def transact(self, work: Callable[[Session], T]) -> T:
        self._at("before writing")
        answer: Any = super().transact(work)
        self._wrote()
        self._at("after writing")
        return answer  # type: ignore[no-any-return]
