"""Clocks: the only place where Berth asks what time it is. Everyone else receives a Clock or an instant."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Where instants come from. Every instant is an aware datetime in UTC."""

    def now(self) -> datetime: ...

    def wait(self, event: threading.Event, timeout: timedelta) -> bool:
        """Wait until ``event`` is set or ``timeout`` has passed; say whether it was set."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def wait(self, event: threading.Event, timeout: timedelta) -> bool:
        return event.wait(timeout.total_seconds())


class ManualClock:
    """A clock that moves only when told to: the clock of every test."""

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._moved = threading.Condition()

    def now(self) -> datetime:
        return self._now

    def tick(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> datetime:
        """Move forward and wake whoever waits on this clock."""
        with self._moved:
            self._now += timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
            self._moved.notify_all()
        return self._now

    def wait(self, event: threading.Event, timeout: timedelta) -> bool:
        due = self._now + timeout
        with self._moved:
            while not event.is_set() and self._now < due:
                # The event is not ours, so look at it again now and then; the time itself never flows here.
                self._moved.wait(0.01)
        return event.is_set()


def backoff(attempt: int, *, first: timedelta, most: timedelta) -> timedelta:
    """The pause after the given failed attempt (counted from 1): doubling from ``first`` up to ``most``."""
    return min(most, first * int(2 ** min(max(attempt - 1, 0), 30)))


def epoch_millis(at: datetime) -> int:
    """Whole milliseconds since the epoch, as in Batch and Logs."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def monotonic() -> float:
    """Seconds on a clock that never goes back, for measuring lengths of real work."""
    return time.monotonic()
