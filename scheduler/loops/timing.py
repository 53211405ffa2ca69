"""Timing of schedules: from a schedule's row to the instants at which it is due. The rules are ``scheduler.cron``'s."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.cron import At, Expression, first_fire, next_fire, parse
from state.schedules import Schedule

# A one-time schedule that reaches Berth this much after its instant still fires, at once.
LATE = timedelta(seconds=60)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a schedule fires. ``origin`` is what a rate without a start counts from."""

    expression: Expression
    zone: str
    start: datetime | None
    end: datetime | None
    origin: datetime


def timing_of(schedule: Schedule) -> Timing:
    return Timing(
        expression=parse(schedule.expression),
        zone=schedule.timezone,
        start=schedule.start_at,
        end=schedule.end_at,
        origin=schedule.origin_at,
    )


def first_due(timing: Timing) -> datetime | None:
    """When a schedule is due first that begins at its origin; None when it never is."""
    if isinstance(timing.expression, At):
        return next_fire(timing.expression, timing.origin - LATE - _TICK, zone=timing.zone)
    return first_fire(timing.expression, timing.origin, zone=timing.zone, start=timing.start, end=timing.end)


def due_after(timing: Timing, instant: datetime) -> datetime | None:
    """When the schedule is due next, strictly after ``instant``; None when never again."""
    return next_fire(
        timing.expression, instant, zone=timing.zone, start=timing.start, end=timing.end, created=timing.origin
    )


def latest_due(timing: Timing, known: datetime, now: datetime) -> datetime:
    """The last instant up to ``now`` at which the schedule was due, given one such instant.

    Found by halving the time in between, so that a year of missed minutes costs a few dozen steps.
    """
    following = due_after(timing, known)
    if following is None or following > now:
        return known
    low, high = following, now
    while high - low > _TICK:
        middle = low + (high - low) / 2
        due = due_after(timing, middle)
        if due is not None and due <= now:
            low = due
        else:
            # Nothing is due after ``middle``, so the latest lies at or before it.
            high = middle
    last = due_after(timing, low)
    return last if last is not None and last <= now else low
