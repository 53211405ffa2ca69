"""What a model asks of a value beyond its type, and the words AWS uses when it is not so.

Checks add their findings to a Trouble and never raise, so that an answer can name all that is wrong at once.
"""

from collections.abc import Callable, Sized
from itertools import islice
from typing import Any

from botocore.model import Shape

from kit.aws.patterns import compile_pattern, matches

Path = tuple[Any, Any] | None
"""Where a value stands: ``(path of what holds it, its name or index)``; None for the whole input."""

Check = Callable[[Any, Path, Any, "Trouble"], None]

# Where AWS's documentation is more generous than its model. Batch, EvaluateOnExit.action: "The values aren't case
# sensitive"; ECS, PortMapping.protocol: "Amazon ECS treats any other specified value as tcp".
_ANY_CASE = frozenset({("batch", "RetryAction")})
_FALLS_BACK = {("ecs", "TransportProtocol"): "tcp"}

_MOST_NAMED = 10
_LONGEST_SHOWN = 256
_ITEMS_SHOWN = 16


class Trouble:
    """The findings about one request."""

    __slots__ = ("findings", "more")

    def __init__(self) -> None:
        self.findings: list[str] = []
        self.more = 0

    def add(self, shown: str, path: Path, key: Any, constraint: str) -> None:
        """Note that the value at ``path`` and ``key`` does not satisfy ``constraint``."""
        if len(self.findings) >= _MOST_NAMED:
            self.more += 1
            return
        place = spell(path, key)
        self.findings.append(f"Value {shown} at '{place}' failed to satisfy constraint: Member must {constraint}")

    def message(self) -> str:
        """AWS's sentence over all findings."""
        count = len(self.findings) + self.more
        errors = "error" if count == 1 else "errors"
        return f"{count} validation {errors} detected: {'; '.join(self.findings)}"


def spell(path: Path, key: Any) -> str:
    """``containerDefinitions.1.member.logConfiguration``: names begin in lower case, indexes count from 1."""
    keys = [key]
    while path is not None:
        path, key = path
        if path is not None or key is not None:
            keys.append(key)
    return ".".join(_spell_key(key) for key in reversed(keys))


def _spell_key(key: Any) -> str:
    return f"{key + 1}.member" if isinstance(key, int) else f"{key[:1].lower()}{key[1:]}"[:_LONGEST_SHOWN]


def shown(value: Any, shape: Shape) -> str:
    """A value as it appears in a message: shortened, and never when it is a secret."""
    if shape.metadata.get("sensitive"):
        return "'***Sensitive***'"
    if isinstance(value, list | dict) and len(value) > _ITEMS_SHOWN:
        # Spelling out a list of a million items would cost more than all the checks.
        value = list(islice(value, _ITEMS_SHOWN))
    text = str(value)
    return f"'{text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + '…'}'"


def fallback(service: str, shape: Shape) -> str | None:
    """The value that a service takes any unknown value of an enum for, where it is known to do so."""
    return _FALLS_BACK.get((service, shape.name))


def string_checks(service: str, shape: Shape) -> Check | None:
    """The checks of a string shape as one function, or None when there are none."""
    checks = [*_length_checks(shape, shape.metadata)]
    if shape.metadata.get("pattern"):
        checks.append(_pattern_check(shape))
    if shape.metadata.get("enum"):
        # An enum says it all; a length or pattern besides it would only repeat the complaint.
        checks = [_enum_check(shape, any_case=(service, shape.name) in _ANY_CASE)]
    return _all(checks)


def length_checks(shape: Shape) -> Check | None:
    """The checks of the size of a list, a map or a blob as one function, or None."""
    return _all(_length_checks(shape, shape.metadata))


def range_checks(shape: Shape) -> Check | None:
    """The checks of a number's range as one function, or None."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is None and high is None:
        return None

    def check(value: Any, path: Path, key: Any, trouble: Trouble) -> None:
        if low is not None and value < low:
            trouble.add(shown(value, shape), path, key, f"have value greater than or equal to {low}")
        if high is not None and value > high:
            trouble.add(shown(value, shape), path, key, f"have value less than or equal to {high}")

    return check


def _length_checks(shape: Shape, traits: dict[str, Any]) -> list[Check]:
    low, high = traits.get("min") or 0, traits.get("max")
    if not low and high is None:
        return []

    def check(value: Sized, path: Path, key: Any, trouble: Trouble) -> None:
        size = len(value)
        if size < low:
            trouble.add(shown(value, shape), path, key, f"have length greater than or equal to {low}")
        if high is not None and size > high:
            trouble.add(shown(value, shape), path, key, f"have length less than or equal to {high}")

    return [check]


def _pattern_check(shape: Shape) -> Check:
    pattern = shape.metadata["pattern"]
    compiled = compile_pattern(pattern)
    longest = shape.metadata.get("max")

    def check(value: str, path: Path, key: Any, trouble: Trouble) -> None:
        # What is too long has been complained about already; matching it would only cost time.
        if longest is not None and len(value) > longest:
            return
        if not matches(compiled, value):
            trouble.add(shown(value, shape), path, key, f"satisfy regular expression pattern: {pattern}")

    return check


def _enum_check(shape: Shape, *, any_case: bool) -> Check:
    values = list(shape.metadata["enum"])
    known = frozenset(values)

    def check(value: str, path: Path, key: Any, trouble: Trouble) -> None:
        if value not in known and not (any_case and value.upper() in known):
            trouble.add(shown(value, shape), path, key, f"satisfy enum value set: [{', '.join(values)}]")

    return check


def _all(checks: list[Check]) -> Check | None:
    if len(checks) <= 1:
        return checks[0] if checks else None

    def check_all(value: Any, path: Path, key: Any, trouble: Trouble) -> None:
        for check in checks:
            check(value, path, key, trouble)

    return check_all
