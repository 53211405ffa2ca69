"""JSON filter patterns: ``{ $.user.id = 7 && ($.tags[0] = "web*" || $.error NOT EXISTS) }``.

Selectors are ``$.name``, ``$["name"]``, ``[0]`` and ``[*]``; comparisons ``= != < <= > >=`` with a number or a string,
in which ``*`` stands for any run of characters; ``IS NULL``, ``IS TRUE``, ``IS FALSE``, ``EXISTS``, ``NOT EXISTS``.
A message that is no JSON object or array never matches.
"""

import json
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.wildcards import matches_pattern

Test = Callable[[Any], bool]
Step = str | int | None  # a member, an index, or every element
DEEPEST = 32
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<selector>\$(?:\.[\w-]+|\["(?:[^"\\]|\\.)*"\]|\[(?:\d{1,9}|\*)\])*)
    | (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<sign>&&|\|\||!=|<=|>=|[=<>(){}])
    | (?P<number>[+-]?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,2})?(?![\w.*]))
    | (?P<word>[\w.*:/@-]+)
    )""",
    re.VERBOSE,
)
_STEP = re.compile(r'\.([\w-]+)|\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]')
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str


def parse_json_pattern(text: str) -> Callable[[str], bool]:
    """The test for a message. Raises InvalidParameterException for a pattern that cannot be read."""
    test = _Parser(text).parse()

    def matches(message: str) -> bool:
        try:
            document = json.loads(message, parse_float=Decimal)
        except (ValueError, RecursionError, ArithmeticError):
            return False
        return isinstance(document, dict | list) and test(document)

    return matches


class _Parser:
    """Reads ``{ or-expression }`` by recursive descent, nested at most DEEPEST deep."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    def parse(self) -> Test:
        self._expect("{")
        test = self._either(0)
        self._expect("}")
        if self._at != len(self._tokens):
            raise _bad(f"nothing may follow the closing brace, but '{self._peek().text}' does")
        return test

    def _either(self, depth: int) -> Test:
        tests = [self._both(depth)]
        while self._take("||"):
            tests.append(self._both(depth))
        return tests[0] if len(tests) == 1 else lambda document: any(test(document) for test in tests)

    def _both(self, depth: int) -> Test:
        tests = [self._one(depth)]
        while self._take("&&"):
            tests.append(self._one(depth))
        return tests[0] if len(tests) == 1 else lambda document: all(test(document) for test in tests)

    def _one(self, depth: int) -> Test:
        if depth > DEEPEST:
            raise _bad("it is nested too deeply")
        if self._take("("):
            test = self._either(depth + 1)
            self._expect(")")
            return test
        selector = self._next()
        if selector.kind != "selector":
            raise _bad(f"expected a selector such as $.name, not '{selector.text}'")
        steps = _steps(selector.text)
        sign = self._next()
        if sign.text in ("=", "!=", *_ORDER):
            return _comparison(steps, sign.text, self._next())
        match sign.text.upper():
            case "EXISTS":
                return lambda document: any(True for _ in _select(document, steps))
            case "NOT":
                self._expect("EXISTS")
                return lambda document: not any(True for _ in _select(document, steps))
            case "IS":
                return _constant(steps, self._next().text)
        raise _bad(f"'{sign.text}' is no comparison")

    def _peek(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else Token("end", "the end")

    def _next(self) -> Token:
        token = self._peek()
        self._at += 1
        return token

    def _take(self, text: str) -> bool:
        if self._peek().kind == "sign" and self._peek().text == text:
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        token = self._next()
        if token.text.upper() != text or token.kind == "string":
            raise _bad(f"expected '{text}', not '{token.text}'")


def _tokens(text: str) -> Iterator[Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        read = _TOKEN.match(text, at)
        if read is None or read.lastgroup is None:
            raise _bad(f"cannot read it from character {at + 1} on")
        yield Token(read.lastgroup, read[read.lastgroup])
        at = read.end()


def _steps(selector: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    for name, quoted, index in _STEP.findall(selector):
        if index:
            steps.append(None if index == "*" else int(index))
        else:
            steps.append(name or re.sub(r"\\(.)", r"\1", quoted))
    if not steps:
        raise _bad("a selector needs a member, as in $.name")
    return tuple(steps)


def _select(value: Any, steps: tuple[Step, ...]) -> Iterator[Any]:
    if not steps:
        yield value
        return
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict) and isinstance(step, str):
        if step in value:
            yield from _select(value[step], rest)
    elif isinstance(value, list) and step is None:
        for element in value:
            yield from _select(element, rest)
    elif isinstance(value, list) and isinstance(step, int) and step < len(value):
        yield from _select(value[step], rest)


def _comparison(steps: tuple[Step, ...], sign: str, wanted: Token) -> Test:
    if wanted.kind == "number":
        return _number_comparison(steps, sign, Decimal(wanted.text))
    if wanted.kind not in ("string", "word"):
        raise _bad(f"cannot compare with '{wanted.text}'")
    if sign in _ORDER:
        raise _bad(f"'{sign}' compares with a number, not with '{wanted.text}'")
    if wanted.text.startswith("%"):
        raise _bad("regular expressions (%…%) are not supported by Berth")
    text = re.sub(r"\\(.)", r"\1", wanted.text[1:-1]) if wanted.kind == "string" else wanted.text
    like = partial(matches_pattern, text)
    if sign == "=":
        return lambda document: any(isinstance(value, str) and like(value) for value in _select(document, steps))
    return lambda document: any(not (isinstance(value, str) and like(value)) for value in _select(document, steps))


def _number_comparison(steps: tuple[Step, ...], sign: str, wanted: Decimal) -> Test:
    if sign == "!=":
        return lambda document: any(not _is(value, wanted) for value in _select(document, steps))
    if sign == "=":
        return lambda document: any(_is(value, wanted) for value in _select(document, steps))
    order = _ORDER[sign]
    return lambda document: any(_number(value) and order(value, wanted) for value in _select(document, steps))


def _number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _is(value: Any, wanted: Decimal) -> bool:
    return _number(value) and bool(value == wanted)


def _constant(steps: tuple[Step, ...], name: str) -> Test:
    constants: dict[str, Any] = {"NULL": None, "TRUE": True, "FALSE": False}
    if name.upper() not in constants:
        raise _bad(f"IS is followed by NULL, TRUE or FALSE, not by '{name}'")
    wanted = constants[name.upper()]
    return lambda document: any(value is wanted for value in _select(document, steps))


def _bad(because: str) -> InvalidParameterException:
    return InvalidParameterException(f"Invalid filter pattern: {because}.")
