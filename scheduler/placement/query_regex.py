"""Regular expressions of the cluster query language: Java's syntax, read into a tree.

What a match of the whole value needs is here: literals, classes, groups, alternatives, counted repetition, anchors.
What needs backtracking (back references, looking around, possessive and atomic groups) is refused by name, so that
``query_automaton`` answers in time linear in the value, whatever the pattern.
"""

import string
from collections.abc import Callable
from dataclasses import dataclass

MOST_PATTERN = 512
MOST_GROUPS = 20
MOST_REPEATS = 100

Test = Callable[[str], bool]


class BadPattern(ValueError):
    """A pattern that cannot be read; ``position`` counts from 0 within the pattern."""

    def __init__(self, position: int, text: str) -> None:
        super().__init__(text)
        self.position = position


@dataclass(frozen=True, slots=True)
class Char:
    """One character that passes the test."""

    test: Test


@dataclass(frozen=True, slots=True)
class Edge:
    """The beginning or the end of the value."""

    end: bool


@dataclass(frozen=True, slots=True)
class Seq:
    """One after the other; nothing at all when empty."""

    parts: tuple["Piece", ...]


@dataclass(frozen=True, slots=True)
class Alt:
    """Any one of them."""

    parts: tuple["Piece", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """``least`` to ``most`` times; without a ``most``, any number."""

    part: "Piece"
    least: int
    most: int | None


Piece = Char | Edge | Seq | Alt | Repeat


def parse_pattern(pattern: str) -> Piece:
    """The tree of a pattern; raises BadPattern. Source: java.util.regex.Pattern."""
    if len(pattern) > MOST_PATTERN:
        raise BadPattern(MOST_PATTERN, f"a pattern has at most {MOST_PATTERN} characters, not {len(pattern)}")
    reader = _Reader(pattern)
    tree = reader.alternatives(0)
    if reader.at < len(pattern):
        raise BadPattern(reader.at, "the ')' closes nothing; write \\) for the character")
    return tree


_DIGITS = frozenset(string.digits)
_WORD = frozenset(string.ascii_letters + string.digits + "_")
_SPACE = frozenset(" \t\n\x0b\f\r")
_SETS = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_NAMED = {
    "Lower": frozenset(string.ascii_lowercase),
    "Upper": frozenset(string.ascii_uppercase),
    "ASCII": frozenset(map(chr, range(128))),
    "Alpha": frozenset(string.ascii_letters),
    "Digit": _DIGITS,
    "Alnum": frozenset(string.ascii_letters + string.digits),
    "Punct": frozenset(string.punctuation),
    "Graph": frozenset(string.ascii_letters + string.digits + string.punctuation),
    "Print": frozenset(string.ascii_letters + string.digits + string.punctuation + " "),
    "Blank": frozenset(" \t"),
    "XDigit": frozenset(string.hexdigits),
    "Space": _SPACE,
}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_LINE_ENDS = frozenset("\n\r\u0085\u2028\u2029")


class _Reader:
    """A place in the pattern, and the rules that move it on."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.any_case = pattern.startswith("(?i)")
        if self.any_case:
            self.at = len("(?i)")

    def alternatives(self, depth: int) -> Piece:
        parts = [self.sequence(depth)]
        while self.taken("|"):
            parts.append(self.sequence(depth))
        return parts[0] if len(parts) == 1 else Alt(tuple(parts))

    def sequence(self, depth: int) -> Piece:
        parts: list[Piece] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            if self.taken("\\Q"):
                end = self.pattern.find("\\E", self.at)
                quoted = self.pattern[self.at :] if end < 0 else self.pattern[self.at : end]
                self.at += len(quoted) + (2 if end >= 0 else 0)
                parts.extend(Char(self.cased(frozenset(character).__contains__)) for character in quoted)
                if parts and quoted:
                    parts[-1] = self.repeated(parts[-1])
                continue
            parts.append(self.repeated(self.atom(depth)))
        return parts[0] if len(parts) == 1 else Seq(tuple(parts))

    def atom(self, depth: int) -> Piece:
        start, character = self.at, self.pattern[self.at]
        self.at += 1
        match character:
            case "(":
                return self.group(start, depth)
            case "[":
                return Char(self.cased(self.klass(start)))
            case ".":
                return Char(lambda one: one not in _LINE_ENDS)
            case "^":
                return Edge(end=False)
            case "$":
                return Edge(end=True)
            case "\\":
                if self.pattern[self.at : self.at + 1] in ("A", "z", "Z"):
                    self.at += 1
                    return Edge(end=self.pattern[self.at - 1] != "A")
                return Char(self.cased(self.escape(start)))
            case "*" | "+" | "?" | "{":
                raise BadPattern(start, f"nothing stands before '{character}' that could repeat")
            case _:
                return Char(self.cased(frozenset(character).__contains__))

    def group(self, start: int, depth: int) -> Piece:
        if depth >= MOST_GROUPS:
            raise BadPattern(start, f"groups go at most {MOST_GROUPS} deep")
        if self.taken("?") and not self.taken(":"):
            raise BadPattern(start, "only (…) and (?:…) are supported groups, and (?i) at the beginning")
        inner = self.alternatives(depth + 1)
        if not self.taken(")"):
            raise BadPattern(start, "the group is never closed with ')'")
        return inner

    def repeated(self, part: Piece) -> Piece:
        start = self.at
        counts: tuple[int, int | None]
        if self.taken("*"):
            counts = (0, None)
        elif self.taken("+"):
            counts = (1, None)
        elif self.taken("?"):
            counts = (0, 1)
        elif self.taken("{"):
            counts = self.counts(start)
        else:
            return part
        # A lazy repetition finds the same whole match; a possessive one may not.
        if not self.taken("?") and self.pattern[self.at : self.at + 1] == "+":
            raise BadPattern(self.at, "possessive repetition is not supported")
        return Repeat(part, *counts)

    def counts(self, start: int) -> tuple[int, int | None]:
        end = self.pattern.find("}", self.at)
        least, comma, most = self.pattern[self.at : max(end, self.at)].partition(",")
        numbers = [text for text in (least, most) if text]
        if not least or not all(text.isascii() and text.isdigit() and len(text) <= 4 for text in numbers):
            raise BadPattern(start, "a repetition is {2}, {2,} or {2,5}; write \\{ for the character")
        self.at = end + 1
        low, high = int(least), (int(most) if most else None) if comma else int(least)
        if max(low, high or 0) > MOST_REPEATS or (high is not None and high < low):
            raise BadPattern(start, f"a repetition counts up to {MOST_REPEATS}, the smaller number first")
        return low, high

    def klass(self, start: int) -> Test:
        """A class, ``[a-z_]`` or ``[^0-9]``, after its bracket."""
        negated = self.taken("^")
        tests: list[Test] = []
        while True:
            here = self.at
            if here >= len(self.pattern):
                raise BadPattern(start, "the class is never closed with ']'")
            if self.taken("]"):
                break
            low = self.member()
            if self.pattern[self.at : self.at + 1] == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self.member()
                if not (isinstance(low, str) and isinstance(high, str) and low <= high):
                    raise BadPattern(here, "a range goes from a character to a later one")
                tests.append(_between(low, high))
            else:
                tests.append(frozenset(low).__contains__ if isinstance(low, str) else low)
        if not tests:
            raise BadPattern(start, "the class is empty")
        return (lambda one: not any(test(one) for test in tests)) if negated else _any_of(tests)

    def member(self) -> str | Test:
        """One character of a class, or a set like ``\\d`` in it."""
        start, character = self.at, self.pattern[self.at]
        self.at += 1
        if character == "[" or self.pattern.startswith("&&", start):
            raise BadPattern(start, "classes in classes are not supported; write \\[ or \\& for the character")
        if character != "\\":
            return character
        single = self.single(start)
        return single if single is not None else self.escape(start)

    def escape(self, start: int) -> Test:
        """What follows a backslash: a set of characters or a single one."""
        single = self.single(start)
        if single is not None:
            return frozenset(single).__contains__
        letter = self.pattern[self.at]
        self.at += 1
        if letter in "pP":
            return self.named(start, negated=letter == "P")
        chosen = _SETS.get(letter.lower())
        if chosen is None:
            raise BadPattern(start, f"\\{letter} is not supported")
        return chosen.__contains__ if letter.islower() else (lambda one: one not in chosen)

    def single(self, start: int) -> str | None:
        """The one character that an escape stands for, or None (and nothing read) when it is not one."""
        letter = self.pattern[self.at : self.at + 1]
        if not letter:
            raise BadPattern(start, "a '\\' at the end escapes nothing")
        if letter in "xu":
            length = 2 if letter == "x" else 4
            digits = self.pattern[self.at + 1 : self.at + 1 + length]
            if len(digits) != length or not set(digits) <= set(string.hexdigits):
                raise BadPattern(start, f"\\{letter} takes {length} hexadecimal digits")
            self.at += 1 + length
            return chr(int(digits, 16))
        if letter in _CONTROLS or not (letter.isascii() and letter.isalnum()):
            self.at += 1
            return _CONTROLS.get(letter, letter)
        return None

    def named(self, start: int, *, negated: bool) -> Test:
        end = self.pattern.find("}", self.at)
        chosen = _NAMED.get(self.pattern[self.at + 1 : end]) if self.pattern.startswith("{", self.at) else None
        if chosen is None:
            raise BadPattern(start, f"\\p takes one of {', '.join(sorted(_NAMED))}, as in \\p{{Alpha}}")
        self.at = end + 1
        return (lambda one: one not in chosen) if negated else chosen.__contains__

    def cased(self, test: Test) -> Test:
        return (lambda one: test(one) or test(one.lower()) or test(one.upper())) if self.any_case else test

    def taken(self, text: str) -> bool:
        if self.pattern.startswith(text, self.at):
            self.at += len(text)
            return True
        return False


def _between(low: str, high: str) -> Test:
    return lambda one: low <= one <= high


def _any_of(tests: list[Test]) -> Test:
    return tests[0] if len(tests) == 1 else (lambda one: any(test(one) for test in tests))
