"""Limits: how often one task may ask, as the ECS agent limits its tasks. Not safe on several threads."""

from datetime import datetime

# A second, and at once.
STEADY, BURST = 40.0, 60.0
MOST_KNOWN = 4096


class Limits:
    """A bucket for each task, filled again with time."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, datetime]] = {}

    def admit(self, who: str, now: datetime) -> bool:
        """Whether this one may ask now."""
        left, at = self._buckets.get(who, (BURST, now))
        left = min(BURST, left + STEADY * (now - at).total_seconds())
        if len(self._buckets) >= MOST_KNOWN and who not in self._buckets:
            self._buckets.clear()
        self._buckets[who] = (left - 1 if left >= 1 else left, now)
        return left >= 1
