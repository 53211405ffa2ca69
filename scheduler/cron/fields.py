"""The fields of a cron expression: their ranges, names and wildcards.

Source: "Cron-based schedules" of the EventBridge Scheduler user guide. Where it is silent, Quartz, whose
notation AWS took over, decides: ranges may wrap (``FRI-MON``), ``LW`` and ``L-3`` count from the month's end.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.cron.expression import DaysOfMonth, DaysOfWeek

MONTHS = {
    name: number
    for number, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), start=1
    )
}
WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}


class BadField(ValueError):
    """A cron field that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field's name, range and names."""

    name: str
    low: int
    high: int
    names: Mapping[str, int]
    wraps: bool = True


MINUTES = Field(name="minutes", low=0, high=59, names={})
HOURS = Field(name="hours", low=0, high=23, names={})
DAY_OF_MONTH = Field(name="day-of-month", low=1, high=31, names={})
MONTH = Field(name="month", low=1, high=12, names=MONTHS)
DAY_OF_WEEK = Field(name="day-of-week", low=1, high=7, names=WEEKDAYS)
YEAR = Field(name="year", low=1970, high=2199, names={}, wraps=False)


def read_numbers(field: Field, text: str) -> frozenset[int]:
    """The values of a field made of ``*``, values, names, ranges and steps, separated by commas."""
    return frozenset(number for part in _parts(field, text) for number in _read_part(field, part))


def read_days_of_month(text: str) -> DaysOfMonth | None:
    """The day-of-month field, with ``L`` and ``W``; None for ``?``."""
    if text == "?":
        return None
    days: set[int] = set()
    from_last: set[int] = set()
    nearest: set[int] = set()
    last_weekday = False
    for part in _parts(DAY_OF_MONTH, text.upper()):
        if part == "L":
            from_last.add(0)
        elif part == "LW":
            last_weekday = True
        elif part.startswith("L-"):
            from_last.add(_offset(part))
        elif part.endswith("W"):
            nearest.add(_value(DAY_OF_MONTH, part[:-1]))
        else:
            days |= _read_part(DAY_OF_MONTH, part)
    return DaysOfMonth(
        days=frozenset(days),
        from_last=frozenset(from_last),
        nearest=frozenset(nearest),
        last_weekday=last_weekday,
    )


def read_days_of_week(text: str) -> DaysOfWeek | None:
    """The day-of-week field, with ``L`` and ``#``; None for ``?``."""
    if text == "?":
        return None
    parts = _parts(DAY_OF_WEEK, text.upper())
    if "#" in text:
        if len(parts) > 1:
            raise BadField("With # the day-of-week field holds one expression only.")
        return DaysOfWeek(nth=frozenset({_nth(parts[0])}))
    days: set[int] = set()
    last: set[int] = set()
    for part in parts:
        if part == "L":
            days.add(WEEKDAYS["SAT"])
        elif part.endswith("L"):
            last.add(_value(DAY_OF_WEEK, part[:-1]))
        else:
            days |= _read_part(DAY_OF_WEEK, part)
    return DaysOfWeek(days=frozenset(days), last=frozenset(last))


def _parts(field: Field, text: str) -> list[str]:
    parts = text.split(",")
    if not all(parts):
        raise BadField(f"The {field.name} field has an empty value in {text!r}.")
    return parts


def _read_part(field: Field, part: str) -> set[int]:
    base, slash, step_text = part.partition("/")
    step = _step(field, step_text) if slash else 1
    if base == "*":
        first, last = field.low, field.high
    elif "-" in base:
        low, _, high = base.partition("-")
        first, last = _value(field, low), _value(field, high)
    else:
        first = _value(field, base)
        last = field.high if slash else first
    if first <= last:
        return set(range(first, last + 1, step))
    if not field.wraps:
        raise BadField(f"The {field.name} range {base!r} runs backwards.")
    size = field.high - field.low + 1
    return {(number - field.low) % size + field.low for number in range(first, last + size + 1, step)}


def _value(field: Field, text: str) -> int:
    named = field.names.get(text.upper())
    if named is not None:
        return named
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise BadField(f"The {field.name} field does not take {text!r}.")
    number = int(text)
    if not field.low <= number <= field.high:
        raise BadField(f"The {field.name} field takes {field.low} to {field.high}, not {number}.")
    return number


def _step(field: Field, text: str) -> int:
    most = field.high - field.low + 1
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= most:
        raise BadField(f"The {field.name} increment must be 1 to {most}, not {text!r}.")
    return int(text)


def _offset(part: str) -> int:
    text = part.removeprefix("L-")
    if not re.fullmatch(r"[0-9]{1,2}", text) or not 1 <= int(text) <= 30:
        raise BadField(f"The day-of-month field takes L-1 to L-30, not {part!r}.")
    return int(text)


def _nth(part: str) -> tuple[int, int]:
    day, _, count = part.partition("#")
    if not re.fullmatch(r"[1-5]", count):
        raise BadField(f"The day-of-week field takes #1 to #5, not {part!r}.")
    return _value(DAY_OF_WEEK, day), int(count)
