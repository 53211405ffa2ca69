"""The calendar of a cron expression: which days of a month it means, and its wall-clock times in order.

Everything here is local time without a zone. The walk ends with the last year of the expression (2199 at most),
so an impossible date such as 30 February ends it too.
"""

import calendar
from collections.abc import Iterator
from datetime import date, datetime

from scheduler.cron.expression import Cron, DaysOfMonth, DaysOfWeek


def local_times(cron: Cron, since: datetime) -> Iterator[datetime]:
    """The wall-clock times of ``cron`` at or after the naive ``since``, in order."""
    for year in cron.years:
        if year < since.year:
            continue
        for month in cron.months:
            if (year, month) < (since.year, since.month):
                continue
            for day in days_in(cron, year, month):
                today = date(year, month, day)
                if today < since.date():
                    continue
                yield from _times_of(cron, today, since)


def days_in(cron: Cron, year: int, month: int) -> list[int]:
    """The days of one month that the two day fields mean, in order."""
    first_weekday, length = calendar.monthrange(year, month)
    # monthrange counts from Monday as 0; AWS counts from Sunday as 1.
    first = (first_weekday + 1) % 7 + 1
    if cron.days_of_month is not None:
        return sorted(_of_month(cron.days_of_month, first, length))
    if cron.days_of_week is not None:
        return sorted(_of_week(cron.days_of_week, first, length))
    return []


def _times_of(cron: Cron, today: date, since: datetime) -> Iterator[datetime]:
    for hour in cron.hours:
        for minute in cron.minutes:
            at = datetime(today.year, today.month, today.day, hour, minute)  # noqa: DTZ001 (local time)
            if at >= since:
                yield at


def _of_month(days: DaysOfMonth, first: int, length: int) -> set[int]:
    found = {day for day in days.days if day <= length}
    found |= {length - back for back in days.from_last if back < length}
    found |= {_nearest_weekday(day, first, length) for day in days.nearest if day <= length}
    if days.last_weekday:
        found.add(_nearest_weekday(length, first, length))
    return found


def _of_week(days: DaysOfWeek, first: int, length: int) -> set[int]:
    found = {day for day in range(1, length + 1) if _weekday(day, first) in days.days}
    found |= {day for day in range(length - 6, length + 1) if _weekday(day, first) in days.last}
    for weekday, count in days.nth:
        day = 1 + (weekday - first) % 7 + 7 * (count - 1)
        if day <= length:
            found.add(day)
    return found


def _weekday(day: int, first: int) -> int:
    return (first - 1 + day - 1) % 7 + 1


def _nearest_weekday(day: int, first: int, length: int) -> int:
    """The weekday closest to a day, never leaving the month."""
    match _weekday(day, first):
        case 7:
            return day - 1 if day > 1 else day + 2
        case 1:
            return day + 1 if day < length else day - 2
        case _:
            return day
