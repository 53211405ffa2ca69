"""When schedules fire: the examples AWS publishes, the days when clocks change, and the ends of time."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduler.cron import BadZone, Expression, first_fire, flexible, next_fire, parse

NEW_YORK = "America/New_York"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def fires(expression: str, after: datetime, count: int, **where) -> list[datetime]:
    found: list[datetime] = []
    read: Expression = parse(expression)
    while len(found) < count:
        due = next_fire(read, after, **where)
        if due is None:
            break
        found.append(due)
        after = due
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(0 10 * * ? *)", [(2026, 1, 1, 10), (2026, 1, 2, 10)]),
        ("cron(15 12 * * ? *)", [(2026, 1, 1, 12, 15), (2026, 1, 2, 12, 15)]),
        ("cron(0 18 ? * MON-FRI *)", [(2026, 1, 1, 18), (2026, 1, 2, 18), (2026, 1, 5, 18)]),
        ("cron(0 8 1 * ? *)", [(2026, 1, 1, 8), (2026, 2, 1, 8)]),
        ("cron(0/15 * * * ? *)", [(2026, 1, 1, 0, 15), (2026, 1, 1, 0, 30)]),
        ("cron(0/10 * ? * MON-FRI *)", [(2026, 1, 1, 0, 10), (2026, 1, 1, 0, 20)]),
        ("cron(0/5 8-17 ? * MON-FRI *)", [(2026, 1, 1, 8), (2026, 1, 1, 8, 5)]),
        ("cron(0 9 ? * 2#1 *)", [(2026, 1, 5, 9), (2026, 2, 2, 9)]),
        ("cron(15 10 ? * 6L 2022-2026)", [(2026, 1, 30, 10, 15), (2026, 2, 27, 10, 15)]),
        ("cron(0 0 L * ? *)", [(2026, 1, 31), (2026, 2, 28)]),
        ("cron(0 0 ? * L *)", [(2026, 1, 3), (2026, 1, 10)]),
        ("cron(0 0 3W * ? *)", [(2026, 1, 2), (2026, 2, 3)]),
        ("cron(0 0 29 2 ? *)", [(2028, 2, 29), (2032, 2, 29)]),
    ],
)
def test_published_examples(expression: str, expected: list[tuple[int, ...]]) -> None:
    assert fires(expression, utc(2026, 1, 1), len(expected)) == [utc(*one) for one in expected]


@pytest.mark.parametrize("expression", ["cron(0 0 30 2 ? *)", "cron(0 0 31 4,6,9,11 ? *)", "cron(0 0 1 1 ? 2025)"])
def test_what_never_comes_ends_with_none(expression: str) -> None:
    assert next_fire(parse(expression), utc(2026, 1, 1)) is None


def test_a_time_that_the_clock_skips_is_skipped() -> None:
    found = fires("cron(30 2 * * ? *)", utc(2026, 3, 7), 3, zone=NEW_YORK)
    assert found == [utc(2026, 3, 7, 7, 30), utc(2026, 3, 9, 6, 30), utc(2026, 3, 10, 6, 30)]


def test_a_time_that_the_clock_repeats_fires_once() -> None:
    found = fires("cron(30 1 * * ? *)", utc(2026, 11, 1), 2, zone=NEW_YORK)
    assert found == [utc(2026, 11, 1, 5, 30), utc(2026, 11, 2, 6, 30)]
    between = utc(2026, 11, 1, 6, 10)
    assert next_fire(parse("cron(30 1 * * ? *)"), between, zone=NEW_YORK) == utc(2026, 11, 2, 6, 30)


def test_local_time_keeps_its_hour_over_the_year() -> None:
    daily = parse("cron(0 9 * * ? *)")
    assert next_fire(daily, utc(2026, 1, 1), zone="Europe/Berlin") == utc(2026, 1, 1, 8)
    assert next_fire(daily, utc(2026, 7, 1), zone="Europe/Berlin") == utc(2026, 7, 1, 7)


def test_a_day_that_a_zone_left_out_has_no_fires() -> None:
    found = fires("cron(0 12 * * ? *)", utc(2011, 12, 29, 12), 2, zone="Pacific/Apia")
    assert found == [utc(2011, 12, 29, 22), utc(2011, 12, 30, 22)]


def test_a_rate_counts_real_time_across_a_clock_change() -> None:
    found = fires("rate(1 day)", utc(2026, 3, 7, 12), 3, zone=NEW_YORK, start=utc(2026, 3, 7, 12))
    assert found == [utc(2026, 3, 8, 12), utc(2026, 3, 9, 12), utc(2026, 3, 10, 12)]


def test_a_rate_fires_at_its_start_or_else_at_once() -> None:
    created = utc(2026, 1, 1, 0, 0, 7)
    assert first_fire(parse("rate(5 minutes)"), created) == created
    start = utc(2026, 1, 2)
    assert first_fire(parse("rate(5 minutes)"), created, start=start) == start
    late = utc(2026, 1, 9, 0, 0, 30)
    assert next_fire(parse("rate(5 minutes)"), late, created=created) == utc(2026, 1, 9, 0, 5, 7)
    with pytest.raises(ValueError, match="created"):
        next_fire(parse("rate(5 minutes)"), created)


def test_a_rate_beyond_the_calendar_never_fires_again() -> None:
    assert next_fire(parse("rate(9999999 days)"), utc(2026, 1, 1), created=utc(2026, 1, 1)) is None


def test_start_and_end_bound_recurring_schedules_inclusively() -> None:
    daily = "cron(0 10 * * ? *)"
    bounds = {"start": utc(2026, 1, 5, 10), "end": utc(2026, 1, 7, 10)}
    assert fires(daily, utc(2026, 1, 1), 9, **bounds) == [utc(2026, 1, day, 10) for day in (5, 6, 7)]


def test_at_fires_once_in_its_zone_whatever_the_bounds() -> None:
    once = parse("at(2026-07-01T09:00:00)")
    due = utc(2026, 7, 1, 13)
    assert next_fire(once, utc(2026, 1, 1), zone=NEW_YORK, end=utc(2026, 2, 1)) == due
    assert next_fire(once, due, zone=NEW_YORK) is None
    assert next_fire(parse("at(9999-12-31T23:59:59)"), due, zone=NEW_YORK) is None


def test_at_in_a_skipped_hour_fires_after_the_gap_rather_than_never() -> None:
    once = parse("at(2026-03-08T02:30:00)")
    assert next_fire(once, utc(2026, 1, 1), zone=NEW_YORK) == utc(2026, 3, 8, 7, 30)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../../etc/passwd", "America", "\0"])
def test_an_unknown_zone_is_named(zone: str) -> None:
    with pytest.raises(BadZone, match="Unknown time zone"):
        next_fire(parse("cron(0 0 1 1 ? *)"), utc(2026, 1, 1), zone=zone)


def test_a_flexible_window_is_used_and_repeatable() -> None:
    at = utc(2026, 1, 1)
    moments = {flexible(at, 15, seed) for seed in range(200)}
    assert len(moments) > 50
    assert all(at <= moment < at + timedelta(minutes=15) for moment in moments)
    assert flexible(at, 15, 7) == flexible(at, 15, 7)
    assert flexible(at, 0, 7) == at
