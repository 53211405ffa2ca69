"""Parsing: the text of a schedule expression to a value, or BadExpression naming the field at fault.

Blanks are significant as on AWS: none outside or directly inside the brackets of ``at`` and ``rate``. Unlike rules
of EventBridge, Scheduler takes singular and plural units with any number (its API page lists both freely).
"""

import re
from datetime import datetime, timedelta

from scheduler.cron import fields
from scheduler.cron.expression import At, BadExpression, Cron, Expression, Rate

_RATE = re.compile(r"rate\(([0-9]+) +(minutes?|hours?|days?)\)")
_AT = re.compile(r"at\(([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\)")
_CRON = re.compile(r"cron\((.*)\)")
_LONGEST = 256


def parse(expression: str) -> Expression:
    """Read ``at(yyyy-mm-ddThh:mm:ss)``, ``rate(n unit)`` or ``cron(min hour dom month dow year)``.

    Raises BadExpression. Source: EventBridge Scheduler user guide, "Schedule types".
    """
    if len(expression) > _LONGEST:
        raise BadExpression(expression[:40] + "…", "expression", f"It is longer than {_LONGEST} characters.")
    if expression.startswith("at("):
        return _parse_at(expression)
    if expression.startswith("rate("):
        return _parse_rate(expression)
    if expression.startswith("cron("):
        return _parse_cron(expression)
    raise BadExpression(expression, "expression", "It must be at(…), rate(…) or cron(…).")


def _parse_at(expression: str) -> At:
    found = _AT.fullmatch(expression)
    if found is None:
        raise BadExpression(expression, "at", "Write at(yyyy-mm-ddThh:mm:ss), without a time zone.")
    try:
        return At(local=datetime.fromisoformat(found[1]))
    except ValueError as error:
        raise BadExpression(expression, "at", f"There is no such time: {error}.") from None


def _parse_rate(expression: str) -> Rate:
    found = _RATE.fullmatch(expression)
    if found is None:
        raise BadExpression(expression, "rate", "Write rate(value unit) with minutes, hours or days.")
    unit = found[2].removesuffix("s") + "s"
    try:
        every = timedelta(**{unit: int(found[1])})
    except OverflowError:
        raise BadExpression(expression, "rate", "The value is too large.") from None
    if not every:
        raise BadExpression(expression, "rate", "The value must be a positive number.")
    return Rate(every=every)


def _parse_cron(expression: str) -> Cron:
    found = _CRON.fullmatch(expression)
    texts = found[1].split() if found else []
    if len(texts) != 6:
        because = f"cron takes six fields (minutes hours day-of-month month day-of-week year), not {len(texts)}."
        raise BadExpression(expression, "cron", because)
    minutes, hours, day_of_month, month, day_of_week, year = texts
    name = fields.MINUTES.name
    try:
        numbers: dict[str, tuple[int, ...]] = {}
        for field, text in (
            (fields.MINUTES, minutes),
            (fields.HOURS, hours),
            (fields.MONTH, month),
            (fields.YEAR, year),
        ):
            name = field.name
            numbers[name] = tuple(sorted(fields.read_numbers(field, text)))
        name = fields.DAY_OF_MONTH.name
        days_of_month = fields.read_days_of_month(day_of_month)
        name = fields.DAY_OF_WEEK.name
        days_of_week = fields.read_days_of_week(day_of_week)
    except fields.BadField as error:
        raise BadExpression(expression, name, str(error)) from None
    if (days_of_month is None) == (days_of_week is None):
        because = "Exactly one of day-of-month and day-of-week must be ?."
        raise BadExpression(expression, fields.DAY_OF_WEEK.name, because)
    return Cron(
        minutes=numbers[fields.MINUTES.name],
        hours=numbers[fields.HOURS.name],
        days_of_month=days_of_month,
        months=numbers[fields.MONTH.name],
        days_of_week=days_of_week,
        years=numbers[fields.YEAR.name],
    )
