"""When a schedule fires next: the step from wall-clock times to instants.

Daylight saving as the user guide has it: a cron time that the clock skips is skipped, one that the clock repeats
fires once (the first time); a rate counts real time. Instants are aware datetimes in UTC.
"""

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from scheduler.cron.calendar import local_times
from scheduler.cron.expression import At, Cron, Expression, Rate


class BadZone(ValueError):
    """A time zone that the IANA database does not know."""


def next_fire(
    expression: Expression,
    after: datetime,
    *,
    zone: str = "UTC",
    start: datetime | None = None,
    end: datetime | None = None,
    created: datetime | None = None,
) -> datetime | None:
    """The first instant strictly after ``after`` at which the schedule fires, or None when it never does again.

    ``start`` and ``end`` are inclusive and do not apply to ``at``. A rate counts from ``start``, or else from
    ``created``, which is its first instant. Raises BadZone.
    """
    match expression:
        case At():
            return _next_at(expression, after, zone_of(zone))
        case Rate():
            origin = start or created
            if origin is None:
                raise ValueError("a rate needs the instant it counts from: start or created")
            due = _next_rate(expression, after, origin)
        case Cron():
            due = _next_cron(expression, after, zone_of(zone), start)
    return None if due is None or (end is not None and due > end) else due


def first_fire(
    expression: Expression,
    created: datetime,
    *,
    zone: str = "UTC",
    start: datetime | None = None,
    end: datetime | None = None,
) -> datetime | None:
    """The first instant of a schedule created now. A rate without a start fires at once, as on AWS."""
    just_before = created - timedelta(microseconds=1)
    return next_fire(expression, just_before, zone=zone, start=start, end=end, created=created)


def flexible(at: datetime, window_minutes: int, seed: int | str) -> datetime:
    """A moment within the flexible time window that opens at ``at``, to the second; the same for the same seed."""
    if window_minutes <= 0:
        return at
    return at + timedelta(seconds=Random(seed).randrange(window_minutes * 60))  # noqa: S311 (spreading load)


def zone_of(name: str) -> ZoneInfo:
    """The IANA zone of this name. Raises BadZone."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadZone(f"Unknown time zone {name!r}: use an IANA name such as Europe/Berlin.") from None


def _next_at(expression: At, after: datetime, zone: ZoneInfo) -> datetime | None:
    try:
        # A one-time schedule in a skipped hour fires that much later by the clock rather than never.
        due = expression.local.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:
        return None
    return due if due > after else None


def _next_rate(expression: Rate, after: datetime, origin: datetime) -> datetime | None:
    # In UTC, because arithmetic within a zone follows the wall clock and not real time.
    origin, after = origin.astimezone(UTC), after.astimezone(UTC)
    if origin > after:
        return origin
    periods = (after - origin) // expression.every + 1
    try:
        return origin + periods * expression.every
    except OverflowError:
        return None


def _next_cron(expression: Cron, after: datetime, zone: ZoneInfo, start: datetime | None) -> datetime | None:
    earliest = after if start is None else max(after, start - timedelta(microseconds=1))
    since = earliest.astimezone(zone).replace(tzinfo=None, fold=0, second=0, microsecond=0)
    for local in local_times(expression, since):
        due = _instant(local, zone)
        # After the clock was set back, times already fired lie ahead on the wall; they lie behind in truth.
        if due is not None and due > earliest:
            return due
    return None


def _instant(local: datetime, zone: ZoneInfo) -> datetime | None:
    """The instant of a wall-clock time, the first when it comes twice, None when the clock skips it."""
    due = local.replace(tzinfo=zone).astimezone(UTC)
    return due if due.astimezone(zone).replace(tzinfo=None, fold=0) == local else None
