"""What a cluster query can ask of a host: the subjects, their operators, and how each is compared.

A comparison is read once, its argument checked, into a function of a host. A negated operator (``!=``, ``!in``,
``!~``, ``!exists``) is always true where its counterpart is false, so a host without an attribute passes ``!=``.
Source: ECS developer guide, "Create expressions to define container instances".
"""

import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from scheduler.placement.query_automaton import compile_pattern
from scheduler.placement.query_regex import BadPattern
from scheduler.placement.query_tree import Comparison
from scheduler.placement.query_words import BadQuery, shown
from scheduler.placement.world import Host

Check = Callable[[Host], bool]
Values = Callable[[Host], Collection[str]]

_ORDER = ("==", "!=", ">", ">=", "<", "<=")
_TEXT = ("==", "!=", "in", "!in", "=~", "!~")
_THERE = ("exists", "!exists")
SUBJECTS = {
    "attribute": (*_ORDER, *_TEXT[2:], *_THERE),
    "task:group": (*_TEXT, *_THERE),
    "runningTasksCount": _ORDER,
    "agentVersion": _ORDER,
    "agentConnected": _TEXT,
    "registeredAt": _ORDER,
    "ec2InstanceId": _TEXT,
}
"""The operators that each subject takes, as AWS lists them."""

VOLATILE = ("task:group", "runningTasksCount")
"""Subjects that change as tasks are placed."""

_NEGATED = {"!=": "==", "!in": "in", "!~": "=~", "!exists": "exists"}
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?")
_VERSION = re.compile(r"v?([0-9]{1,9}(?:\.[0-9]{1,9}){0,5})(?:[-+.]?([A-Za-z][\w.+-]*))?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII)


def read_comparison(comparison: Comparison, places: Sequence[int]) -> Check:
    """The comparison as a function; ``places`` says where each argument begins. Raises BadQuery."""
    positive = _NEGATED.get(comparison.operator)
    if positive is not None:
        return _negation(_read(comparison, positive, places))
    return _read(comparison, comparison.operator, places)


def _read(comparison: Comparison, operator: str, places: Sequence[int]) -> Check:
    match comparison.subject:
        case "runningTasksCount":
            count = _read_count(comparison.arguments[0], places[0])
            return _ordered(operator, lambda host: host.tasks, count)
        case "agentVersion":
            version = _version(comparison.arguments[0])
            if version is None:
                raise BadQuery(places[0], f"expected a version like 1.14.5, found {shown(comparison.arguments[0])}")
            return _ordered(operator, lambda host: _version(host.agent_version), version)
        case "registeredAt":
            instant = _read_instant(comparison.arguments[0], places[0])
            return _ordered(operator, _registered_at, instant)
        case "attribute" if operator in _ORDER and operator != "==":
            return _attribute_order(operator, comparison.name, comparison.arguments[0])
        case "agentConnected" if operator != "=~":
            for argument, place in zip(comparison.arguments, places, strict=True):
                if argument.lower() not in ("true", "false"):
                    raise BadQuery(place, f"expected true or false, found {shown(argument)}")
            lowered = tuple(argument.lower() for argument in comparison.arguments)
            return _text(operator, _values(comparison), lowered, places)
        case _:
            return _text(operator, _values(comparison), comparison.arguments, places)


def _values(comparison: Comparison) -> Values:
    """The texts that a subject has on a host; none where the subject does not exist."""
    match comparison.subject:
        case "attribute":
            name = comparison.name
            return lambda host: (host.attributes[name] or "",) if name in host.attributes else ()
        case "task:group":
            return lambda host: [group for group, tasks in host.groups.items() if tasks > 0]
        case "agentConnected":
            return lambda host: ("true" if host.connected else "false",)
        case _:
            return lambda host: (host.instance_id,) if host.instance_id else ()


def _text(operator: str, values: Values, arguments: Sequence[str], places: Sequence[int]) -> Check:
    if operator == "exists":
        return lambda host: bool(values(host))
    if operator == "=~":
        try:
            matches = compile_pattern(arguments[0])
        except BadPattern as error:
            raise BadQuery(places[0] + error.position, f"bad regular expression: {error}") from error
        return lambda host: any(matches(value) for value in values(host))
    wanted = frozenset(arguments)
    return lambda host: not wanted.isdisjoint(values(host))


def _ordered(operator: str, value: Callable[[Host], object | None], argument: object) -> Check:
    """Compare what has an order; a host without the value passes no such comparison."""
    compare = _COMPARE[operator]
    return lambda host: (own := value(host)) is not None and compare(own, argument)


def _attribute_order(operator: str, name: str, argument: str) -> Check:
    """Numbers are compared as numbers when both are, and everything else as text."""
    compare = _COMPARE[operator]
    number = Decimal(argument) if _NUMBER.fullmatch(argument) else None

    def check(host: Host) -> bool:
        if name not in host.attributes:
            return False
        value = host.attributes[name] or ""
        if number is not None and _NUMBER.fullmatch(value):
            return compare(Decimal(value), number)
        return compare(value, argument)

    return check


def _negation(check: Check) -> Check:
    return lambda host: not check(host)


_COMPARE: dict[str, Callable[[object, object], bool]] = {
    "==": lambda own, other: own == other,
    ">": lambda own, other: own > other,  # type: ignore[operator]
    ">=": lambda own, other: own >= other,  # type: ignore[operator]
    "<": lambda own, other: own < other,  # type: ignore[operator]
    "<=": lambda own, other: own <= other,  # type: ignore[operator]
}


def _read_count(text: str, place: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise BadQuery(place, f"expected a count like 3, found {shown(text)}")
    return int(text)


def _version(text: str) -> tuple[object, ...] | None:
    """A version's order: its numbers without zeros at the end; a tagged one (``1.2-rc1``) comes before its release."""
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return (tuple(numbers), not found[2], found[2] or "")


def _read_instant(text: str, place: int) -> datetime:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadQuery(
            place, f"expected a date like 2018-06-18 or 2018-06-18T22:28:28Z, found {shown(text)}"
        ) from error


def _registered_at(host: Host) -> datetime | None:
    """To the second, as dates in expressions are written."""
    return host.registered_at.replace(microsecond=0) if host.registered_at else None
