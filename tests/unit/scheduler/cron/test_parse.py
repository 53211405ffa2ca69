"""What is a schedule expression and what is not. The refused ones are refused by AWS as well."""

from datetime import datetime, timedelta

import pytest

from scheduler.cron import At, BadExpression, Cron, Rate, parse


@pytest.mark.parametrize(
    ("expression", "every"),
    [
        ("rate(1 minute)", timedelta(minutes=1)),
        ("rate(5 minutes)", timedelta(minutes=5)),
        ("rate(1 hours)", timedelta(hours=1)),
        ("rate(2 hour)", timedelta(hours=2)),
        ("rate(10 days)", timedelta(days=10)),
    ],
)
def test_rates_take_either_form_of_the_unit(expression: str, every: timedelta) -> None:
    assert parse(expression) == Rate(every=every)


def test_at_is_a_wall_clock_time() -> None:
    assert parse("at(2022-11-20T13:00:00)") == At(local=datetime(2022, 11, 20, 13))  # noqa: DTZ001


def test_cron_fields_are_expanded_in_order() -> None:
    cron = parse("cron(0/20 8-10,22 ? JAN,3 mon-fri 2022-2024)")
    assert isinstance(cron, Cron)
    assert cron.minutes == (0, 20, 40)
    assert cron.hours == (8, 9, 10, 22)
    assert cron.days_of_month is None
    assert cron.months == (1, 3)
    assert cron.days_of_week is not None and cron.days_of_week.days == {2, 3, 4, 5, 6}
    assert cron.years == (2022, 2023, 2024)


def test_ranges_wrap_and_steps_run_over_ranges() -> None:
    cron = parse("cron(*/25 22-2 ? NOV-FEB FRI-MON *)")
    assert isinstance(cron, Cron)
    assert cron.minutes == (0, 25, 50)
    assert cron.hours == (0, 1, 2, 22, 23)
    assert cron.months == (1, 2, 11, 12)
    assert cron.days_of_week is not None and cron.days_of_week.days == {6, 7, 1, 2}
    every_other = parse("cron(10-30/10 0 1/10 * ? *)")
    assert isinstance(every_other, Cron)
    assert every_other.minutes == (10, 20, 30)
    assert every_other.days_of_month is not None and every_other.days_of_month.days == {1, 11, 21, 31}


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "every day",
        "cron(0 1 * * * *)",
        "cron(0 1 ? * ? *)",
        "cron(7 20 * * NOT *)",
        "cron(INVALID)",
        "cron(0 dummy ? * MON-FRI *)",
        "cron(71 8 1 * ? *)",
        "cron()",
        "cron(0 0 1 1 ? * *)",
        "cron(0 0 1 1 ? *",
        "rate(10 seconds)",
        "rate(10 years)",
        "rate()",
        "rate(10)",
        "rate(10 minutess)",
        "rate(foo minutes)",
        "rate(0 minutes)",
        "rate(-10 minutes)",
        "rate(1.5 hours)",
        "rate( 10 minutes )",
        " rate(10 minutes)",
        "rate(10 minutes) ",
        "rate(10 minutes)\n",
        "rate(٣ minutes)",
        f"rate({'9' * 200} days)",
        "at(2021-12-31T23:59:59Z)",
        "at(2021-12-31)",
        "at(2021-02-30T00:00:00)",
        "at(2021-12-31T24:00:00)",
        "cron(" + "0," * 200 + "0 0 1 1 ? *)",
    ],
)
def test_what_aws_refuses_is_refused(expression: str) -> None:
    with pytest.raises(BadExpression, match="Invalid Schedule Expression"):
        parse(expression)


@pytest.mark.parametrize(
    ("expression", "field"),
    [
        ("cron(60 0 1 1 ? *)", "minutes"),
        ("cron(5- 0 1 1 ? *)", "minutes"),
        ("cron(1,,2 0 1 1 ? *)", "minutes"),
        ("cron(0/0 0 1 1 ? *)", "minutes"),
        ("cron(0/61 0 1 1 ? *)", "minutes"),
        ("cron(? 0 1 1 ? *)", "minutes"),
        ("cron(0 24 1 1 ? *)", "hours"),
        ("cron(0 L 1 1 ? *)", "hours"),
        ("cron(0 0 32 1 ? *)", "day-of-month"),
        ("cron(0 0 0W 1 ? *)", "day-of-month"),
        ("cron(0 0 W 1 ? *)", "day-of-month"),
        ("cron(0 0 L-31 1 ? *)", "day-of-month"),
        ("cron(0 0 1,? 1 ? *)", "day-of-month"),
        ("cron(0 0 1 13 ? *)", "month"),
        ("cron(0 0 1 FOO ? *)", "month"),
        ("cron(0 0 ? 1 0 *)", "day-of-week"),
        ("cron(0 0 ? 1 8 *)", "day-of-week"),
        ("cron(0 0 ? 1 3#6 *)", "day-of-week"),
        ("cron(0 0 ? 1 3#1,6#3 *)", "day-of-week"),
        ("cron(0 0 ? 1 FUNL *)", "day-of-week"),
        ("cron(0 0 1 1 ? 1969)", "year"),
        ("cron(0 0 1 1 ? 2200)", "year"),
        ("cron(0 0 1 1 ? 2030-2029)", "year"),
    ],
)
def test_the_error_names_the_field_at_fault(expression: str, field: str) -> None:
    with pytest.raises(BadExpression) as raised:
        parse(expression)
    assert raised.value.field == field
    assert field in str(raised.value)
