"""Cron against brute force: every minute of the world is asked whether it matches."""

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.cron import Cron, next_fire, parse
from scheduler.cron.calendar import days_in

MINUTE = timedelta(minutes=1)
WINDOW = timedelta(days=2)
WEEKDAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
TRANSITIONS = {
    "UTC": [date(2026, 2, 28)],
    "America/New_York": [date(2026, 3, 8), date(2026, 11, 1)],
    "Europe/Berlin": [date(2026, 3, 29), date(2026, 10, 25)],
    "Australia/Lord_Howe": [date(2026, 4, 4), date(2026, 10, 3)],
    "Africa/Casablanca": [date(2026, 2, 14), date(2026, 3, 21)],
    "Pacific/Apia": [date(2011, 12, 29)],
    "Asia/Kathmandu": [date(2026, 1, 1)],
}

Matcher = Callable[[int], bool]


@st.composite
def number_field(draw: st.DrawFn, low: int, high: int) -> tuple[str, Matcher]:
    """The text of a field and, told apart from the parser, what it means."""
    number = st.integers(low, high)
    match draw(st.sampled_from(["all", "one", "list", "range", "step", "range-step"])):
        case "all":
            return "*", lambda value: True
        case "one":
            one = draw(number)
            return str(one), lambda value: value == one
        case "list":
            many = draw(st.lists(number, min_size=2, max_size=4))
            return ",".join(map(str, many)), lambda value: value in many
        case "range":
            first, last = sorted((draw(number), draw(number)))
            return f"{first}-{last}", lambda value: first <= value <= last
        case "step":
            first, step = draw(number), draw(st.integers(1, 20 if high > 20 else high))
            return f"{first}/{step}", lambda value: value >= first and (value - first) % step == 0
        case _:
            first, last = sorted((draw(number), draw(number)))
            step = draw(st.integers(1, high))
            return (
                f"{first}-{last}/{step}",
                lambda value: first <= value <= last and (value - first) % step == 0,
            )


@settings(max_examples=120)
@given(data=st.data(), zone=st.sampled_from(sorted(TRANSITIONS)), offset=st.integers(-600, 2000))
def test_next_fire_is_the_first_matching_minute(data: st.DataObject, zone: str, offset: int) -> None:
    minutes, minute_matches = data.draw(number_field(0, 59))
    hours, hour_matches = data.draw(number_field(0, 23))
    months, month_matches = data.draw(number_field(1, 12))
    if data.draw(st.booleans()):
        days, day_matches = data.draw(number_field(1, 31))
        weekdays, weekday_matches = "?", None
    else:
        days, day_matches = "?", None
        weekdays, weekday_matches = data.draw(number_field(1, 7))
    expression = parse(f"cron({minutes} {hours} {days} {months} {weekdays} *)")

    def matches(local: datetime) -> bool:
        return (
            local.fold == 0
            and minute_matches(local.minute)
            and hour_matches(local.hour)
            and month_matches(local.month)
            and (day_matches is None or day_matches(local.day))
            and (weekday_matches is None or weekday_matches(local.isoweekday() % 7 + 1))
        )

    day = data.draw(st.sampled_from(TRANSITIONS[zone]))
    after = datetime.combine(day, time(), UTC) + timedelta(
        minutes=offset, seconds=data.draw(st.sampled_from([0, 1, 59]))
    )
    where = ZoneInfo(zone)
    moment = after.replace(second=0) + MINUTE
    expected = None
    while moment <= after + WINDOW:
        if matches(moment.astimezone(where)):
            expected = moment
            break
        moment += MINUTE
    found = next_fire(expression, after, zone=zone)
    if expected is None:
        assert found is None or found > after + WINDOW
    else:
        assert found == expected


MONTHS = [(year, month) for year in range(2024, 2032) for month in range(1, 13)]


def days_of(field: str, position: int, year: int, month: int) -> list[int]:
    fields = ["0", "0", "?", "*", "?", "*"]
    fields[position] = field
    cron = parse(f"cron({' '.join(fields)})")
    assert isinstance(cron, Cron)
    return days_in(cron, year, month)


@pytest.mark.parametrize("day", [1, 2, 14, 15, 28, 30, 31])
def test_w_is_the_closest_weekday_within_the_month(day: int) -> None:
    for year, month in MONTHS:
        length = calendar.monthrange(year, month)[1]
        weekdays = [d for d in range(1, length + 1) if date(year, month, d).isoweekday() <= 5]
        expected = [min(weekdays, key=lambda d: abs(d - day))] if day <= length else []
        assert days_of(f"{day}W", 2, year, month) == expected


def test_l_counts_from_the_end_of_the_month() -> None:
    for year, month in MONTHS:
        length = calendar.monthrange(year, month)[1]
        weekdays = [d for d in range(1, length + 1) if date(year, month, d).isoweekday() <= 5]
        assert days_of("L", 2, year, month) == [length]
        assert days_of("L-3", 2, year, month) == [length - 3]
        assert days_of("LW", 2, year, month) == [weekdays[-1]]
        assert days_of("5,L", 2, year, month) == [5, length]


@pytest.mark.parametrize("weekday", range(1, 8))
def test_the_nth_and_the_last_weekday_of_a_month(weekday: int) -> None:
    for year, month in MONTHS:
        length = calendar.monthrange(year, month)[1]
        same = [d for d in range(1, length + 1) if date(year, month, d).isoweekday() % 7 + 1 == weekday]
        assert days_of(f"{weekday}", 4, year, month) == same
        assert days_of(f"{weekday}L", 4, year, month) == [same[-1]]
        assert days_of(f"{WEEKDAY_NAMES[weekday - 1]}L", 4, year, month) == [same[-1]]
        for count in range(1, 6):
            assert days_of(f"{weekday}#{count}", 4, year, month) == same[count - 1 : count]
