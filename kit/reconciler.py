"""Reconcilers: loops that observe, decide, act and record, woken by events and, for safety, by a timer.

A loop is level-triggered: it looks at what is, never at what happened, so a lost wake, a crash or a second
process costs a repeat and never a wrong state.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import ClassVar, Protocol

from kit.clock import Clock

log = logging.getLogger(__name__)


class Reconciler(Protocol):
    """One concern. ``step`` looks once and does what is due; it may be repeated at any time.

    ``step`` answers the instant at which it wants to look again, or None when a wake or the timer is enough.
    """

    name: ClassVar[str]
    every: timedelta

    def step(self) -> datetime | None: ...


class Runner:
    """Runs one reconciler in a thread of its own until stopped."""

    def __init__(self, reconciler: Reconciler, clock: Clock) -> None:
        self.reconciler = reconciler
        self._clock = clock
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=reconciler.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Have the loop look again at once. Quick and safe from any thread."""
        self._woken.set()

    def stop(self, timeout: timedelta = timedelta(seconds=10)) -> None:
        self._stopping = True
        self._woken.set()
        self._thread.join(timeout.total_seconds())

    def _run(self) -> None:
        failures = 0
        while not self._stopping:
            self._woken.clear()
            pause = self.reconciler.every
            try:
                due = self.reconciler.step()
                failures = 0
                if due is not None:
                    pause = min(pause, max(due - self._clock.now(), timedelta(0)))
            except Exception:
                failures += 1
                # A loop outlives every error: the next look starts from what is in the store.
                log.exception("loop failed", extra={"loop": self.reconciler.name, "failures": failures})
                pause = min(pause, timedelta(seconds=min(30, 2 ** min(failures, 5))))
            if not self._stopping:
                self._clock.wait(self._woken, pause)


def listen(runner: Runner, subscribe: Callable[[str, Callable[[], None]], object]) -> None:
    """Have the runner woken by its reconciler's own name."""
    subscribe(runner.reconciler.name, runner.wake)
