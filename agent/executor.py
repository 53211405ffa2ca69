"""Where actions run: a thread each, or one after the other when a test says so."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol


class Executor(Protocol):
    """Runs actions; ``done`` may be called on any thread."""

    def run(self, action: Callable[[], Any], done: Callable[[Any], None]) -> None: ...


class ThreadExecutor:
    """A thread for every action: launches of many tasks run side by side, and a slow stop delays nobody."""

    def run(self, action: Callable[[], Any], done: Callable[[Any], None]) -> None:
        try:
            threading.Thread(target=_act, args=(action, done), name="action", daemon=True).start()
        except RuntimeError as error:
            # The machine has no thread to give now: it is as if the action had failed, and is tried again.
            done(error)


class SteppedExecutor:
    """Keeps actions until ``step`` runs the oldest. The executor of simulations."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()

    def run(self, action: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._waiting.append((action, done))

    def step(self) -> bool:
        """Run one action; False when none waits."""
        if not self._waiting:
            return False
        _act(*self._waiting.popleft())
        return True

    def __len__(self) -> int:
        return len(self._waiting)


def _act(action: Callable[[], Any], done: Callable[[Any], None]) -> None:
    try:
        outcome = action()
    except Exception as error:
        # A bug in an action must not leave its container busy for ever: the engine logs it and tries again.
        outcome = error
    done(outcome)
