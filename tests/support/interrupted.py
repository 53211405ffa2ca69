"""A store and a storage between whose steps something else can happen: a crash, or the work of another process.

A step is what a process does in one piece as seen from outside: a committed transaction, or one call of the storage.
"""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from registry.storage import Storage
from state.store import Session, Store


class Killed(BaseException):
    """The process is gone: nothing in it catches this."""


class Interruption:
    """``what`` happens once, after ``steps`` more steps."""

    def __init__(self, steps: int, what: Callable[[], object]) -> None:
        self._left = steps
        self._what = what
        self.happened = False

    def pass_by(self) -> None:
        self._left -= 1
        if self._left < 0 and not self.happened:
            self.happened = True
            self._what()


def kill() -> None:
    raise Killed


class InterruptedStore:
    """As ``Store``, for a process that is interrupted before and after its transactions."""

    def __init__(self, store: Store, interruption: Interruption) -> None:
        self._store = store
        self._interruption = interruption
        self.engine = store.engine

    def open_reader(self) -> sqlite3.Connection | None:
        return self._store.open_reader()

    def read(self, work: Callable[[Session], Any]) -> Any:
        self._interruption.pass_by()
        return self._store.read(work)

    def transact(self, work: Callable[[Session], Any]) -> Any:
        self._interruption.pass_by()
        answer = self._store.transact(work)
        self._interruption.pass_by()
        return answer


class InterruptedStorage:
    """As ``Storage``, for a process that is interrupted before and after its calls."""

    def __init__(self, storage: Storage, interruption: Interruption) -> None:
        self._storage = storage
        self._interruption = interruption

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._storage, name)

        def call(*given: Any, **named: Any) -> Any:
            self._interruption.pass_by()
            answer = member(*given, **named)
            self._interruption.pass_by()
            return answer

        return call

    def blobs(self) -> Iterator[Any]:
        for found in self._storage.blobs():
            self._interruption.pass_by()
            yield found
