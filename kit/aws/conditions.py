"""Conditions of resource policies: an operator, a key of the request, and the values it is compared with.

A condition is read once, with everything that is wrong with it told precisely, and becomes a function of the
request's value for its key (None: the request has none). Source: IAM User Guide, "IAM JSON policy elements:
Condition operators".
"""

import operator
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

Test = Callable[[str], bool]
Holds = Callable[[str | None], bool]


class BadCondition(ValueError):
    """The condition cannot be used; the message says why."""


@lru_cache(maxsize=4096)
def glob(pattern: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """The pattern with ``*`` for any run of characters and ``?`` for one, matched in time linear in the text's."""
    first, *rest = ("".join("." if char == "?" else re.escape(char) for char in part) for part in pattern.split("*"))
    # Atomic: what a ``*`` once passed over is not tried again, or many of them would take for ever.
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    text = f"{first}{middle}.*{rest[-1]}" if rest else first
    return re.compile(text, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def read_condition(name: str, values: Sequence[Any]) -> Holds:
    """What decides whether the condition ``name`` (``StringLike``, ``ForAnyValue:BoolIfExists``) holds.

    Raises BadCondition.
    """
    bare, absent = name, None
    # A key has one value here, so the two quantifiers differ in what they make of none.
    for prefix, holds in (("ForAllValues:", True), ("ForAnyValue:", False)):
        if bare.startswith(prefix):
            bare, absent = bare.removeprefix(prefix), holds
    if bare == "Null":
        return _null(values)
    if bare.endswith("IfExists"):
        bare, absent = bare.removesuffix("IfExists"), True
    found = _OPERATORS.get(bare)
    if found is None:
        raise BadCondition(f"the condition operator '{name[:80]}' is not known")
    make, negated = found
    if not values:
        raise BadCondition(f"the condition {name} has no value")
    tests = [make(_text(name, value)) for value in values]
    without = negated if absent is None else absent

    def decide(actual: str | None) -> bool:
        if actual is None:
            return without
        return any(test(actual) for test in tests) is not negated

    return decide


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise BadCondition(f"the condition {name} has a value that is no text, number or boolean")


def _null(values: Sequence[Any]) -> Holds:
    said = {_text("Null", value).lower() for value in values}
    if not said or not said <= {"true", "false"}:
        raise BadCondition("the condition Null takes true or false")
    return lambda actual: str(actual is None).lower() in said


def _equals(wanted: str) -> Test:
    return lambda actual: actual == wanted


def _equals_in_any_case(wanted: str) -> Test:
    return lambda actual: actual.casefold() == wanted.casefold()


def _like(wanted: str) -> Test:
    pattern = glob(wanted)
    return lambda actual: pattern.fullmatch(actual) is not None


def _arn_like(wanted: str) -> Test:
    """Part by part: a ``*`` in one of an ARN's first five parts does not reach into the next."""
    parts = wanted.split(":", 5)
    if wanted == "*":
        return lambda actual: True
    if len(parts) != 6 or parts[0] != "arn":
        raise BadCondition(f"'{wanted[:200]}' is not an ARN")
    patterns = [glob(part) for part in parts]

    def test(actual: str) -> bool:
        found = actual.split(":", 5)
        return len(found) == 6 and all(
            pattern.fullmatch(part) is not None for pattern, part in zip(patterns, found, strict=True)
        )

    return test


def _bool(wanted: str) -> Test:
    if wanted.lower() not in ("true", "false"):
        raise BadCondition(f"'{wanted[:80]}' is neither true nor false")
    return lambda actual: actual.lower() == wanted.lower()


def _ip(wanted: str) -> Test:
    try:
        network = ip_network(wanted, strict=False)
    except ValueError:
        raise BadCondition(f"'{wanted[:80]}' is no IP address or range") from None

    def test(actual: str) -> bool:
        try:
            address = ip_address(actual)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address) in network

    return test


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise BadCondition(f"'{text[:80]}' is no number") from None
    if number != number:
        raise BadCondition(f"'{text[:80]}' is no number")
    return number


def _instant(text: str) -> float:
    """Seconds since 1970, of an ISO 8601 instant (UTC unless it says otherwise) or of such seconds."""
    try:
        if re.fullmatch(r"[0-9]{1,11}", text) and len(text) != 4:
            return float(text)
        instant = datetime.fromisoformat(f"{text}-01-01" if re.fullmatch(r"[0-9]{4}", text) else text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise BadCondition(f"'{text[:80]}' is no date") from None


def _compared(read: Callable[[str], float], compare: Callable[[float, float], bool]) -> Callable[[str], Test]:
    def make(wanted: str) -> Test:
        limit = read(wanted)

        def test(actual: str) -> bool:
            try:
                return compare(read(actual), limit)
            except BadCondition:
                return False

        return test

    return make


_COMPARISONS: tuple[tuple[str, Callable[[Any, Any], bool]], ...] = (
    ("LessThan", operator.lt),
    ("LessThanEquals", operator.le),
    ("GreaterThan", operator.gt),
    ("GreaterThanEquals", operator.ge),
)
# By name: what makes a value's test, and whether the operator denies it.
_OPERATORS: dict[str, tuple[Callable[[str], Test], bool]] = {
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_in_any_case, False),
    "StringNotEqualsIgnoreCase": (_equals_in_any_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_arn_like, False),
    "ArnLike": (_arn_like, False),
    "ArnNotEquals": (_arn_like, True),
    "ArnNotLike": (_arn_like, True),
    "Bool": (_bool, False),
    "IpAddress": (_ip, False),
    "NotIpAddress": (_ip, True),
    **{
        f"{kind}{name}": (_compared(read, compare), negated)
        for kind, read in (("Numeric", _number), ("Date", _instant))
        for name, compare, negated in (
            ("Equals", operator.eq, False),
            ("NotEquals", operator.eq, True),
            *((name, compare, False) for name, compare in _COMPARISONS),
        )
    },
}
