"""Schedule expressions as values: ``at(…)``, ``rate(…)`` and ``cron(…)`` of EventBridge Scheduler.

A value of these types has been read and checked; only ``parse`` makes them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


class BadExpression(ValueError):
    """A schedule expression that EventBridge Scheduler refuses. ``field`` names the part at fault."""

    def __init__(self, expression: str, field: str, because: str) -> None:
        super().__init__(f"Invalid Schedule Expression {expression}. {because}")
        self.expression = expression
        self.field = field
        self.because = because


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """Once, at this wall-clock time in the schedule's zone."""

    local: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Again and again, with this much real time between."""

    every: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysOfMonth:
    """The day-of-month field: plain days, days counted back from the last (``L`` is 0), weekdays nearest to a
    day (``15W``), and the last weekday (``LW``)."""

    days: frozenset[int] = frozenset()
    from_last: frozenset[int] = frozenset()
    nearest: frozenset[int] = frozenset()
    last_weekday: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysOfWeek:
    """The day-of-week field, 1 (Sunday) to 7: every week, the last of the month (``6L``), the nth (``3#2``)."""

    days: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    nth: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """Six fields, each expanded and in order; exactly one of the two day fields is ``?`` (None)."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days_of_month: DaysOfMonth | None
    months: tuple[int, ...]
    days_of_week: DaysOfWeek | None
    years: tuple[int, ...]


Expression = At | Rate | Cron
