"""The usage loop: rolls minutes of usage up into coarser points, and forgets what has had its time."""

from datetime import datetime, timedelta
from typing import ClassVar

from state.loop import Loop
from state.store import Session
from state.usage import KEPT, MINUTE, forget_usage, roll_up, rolled_until

# What came late, from a process that was busy, is rolled up again.
LOOKED_BACK = timedelta(minutes=10)


class UsageLoop(Loop):
    """Set-based, and the same when it is repeated."""

    name: ClassVar[str] = "usage"
    every = timedelta(minutes=1)

    def observe(self, session: Session, now: datetime) -> datetime:
        # What was written just before everything stood still, be it for an hour, is rolled up after; but nothing of
        # which finer points may be forgotten by now, since a bucket is made anew of those that there are.
        until = rolled_until(session) or now
        return max(min(until, now - LOOKED_BACK), now - KEPT[MINUTE] + LOOKED_BACK)

    def decide(self, seen: datetime, now: datetime) -> datetime:
        return seen

    def record(self, session: Session, outcome: datetime, now: datetime) -> None:
        roll_up(session, since=outcome)
        forget_usage(session, now=now)
