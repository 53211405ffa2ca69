"""The steady clock: instants for waiting, which go on evenly whatever is done to the machine's clock meanwhile.

What is told to others is an instant of the machine's clock; what is waited for is one of this. The two agree when
the agent starts, and part when the machine's clock is put right.
"""

import threading
from datetime import datetime, timedelta

from kit.clock import Clock, monotonic


class SteadyClock:
    """Begins at the instant that ``clock`` shows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun_at = clock.now()
        self._begun = monotonic()

    def now(self) -> datetime:
        return self._begun_at + timedelta(seconds=monotonic() - self._begun)

    def wait(self, event: threading.Event, timeout: timedelta) -> bool:
        return self._clock.wait(event, timeout)
