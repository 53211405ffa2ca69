"""Patterns that users write: found in a line, or not, in time that grows with the line and never faster.

The usual engine of regular expressions backtracks, and one bad pattern would stop the whole agent. So the pattern's
tree is run here as an automaton, all of its ways at once. What cannot be run so (look-arounds, back references) is
refused with its name.
"""

import re
from collections.abc import Callable, Iterable
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

# How much of a line is looked at, how large a pattern may be, and how many steps are remembered in what was seen.
LOOKED_AT = 8192
MOST_STEPS = 1000
REMEMBERED = 20_000

Test = Callable[[str], bool]
# Where all ways have led, the next character, whether it is the first or behind the last, and at the edge of a word.
Key = tuple[frozenset[int], str, bool, bool, bool]


class BadPattern(Exception):
    """The pattern cannot be used; the text says why."""


class Pattern:
    """One pattern. Not to be shared among threads."""

    def __init__(self, text: str) -> None:
        """Raises BadPattern."""
        # Each step is (what, argument): take a character, go both ways, look around, or be done.
        self._steps: list[tuple[str, Any]] = []
        try:
            tree = _parser.parse(text)
            self._sequence(tree, tree.state.flags)
        except (re.error, RecursionError, OverflowError) as error:
            raise BadPattern(f"{text!r}: {error}") from error
        self._add("done", None)
        self._known: dict[Key, frozenset[int] | None] = {}
        self._remembered = 0

    def found_in(self, line: str) -> bool:
        """Whether any part of the line's beginning matches."""
        line = line[:LOOKED_AT]
        states: frozenset[int] = frozenset()
        before = ""
        for index in range(len(line) + 1):
            char = line[index] if index < len(line) else ""
            key = (states, char, index == 0, char == "", _is_word(before) != _is_word(char))
            if key not in self._known:
                self._remember(key, self._move(*key))
            moved = self._known[key]
            if moved is None:
                return True
            states, before = moved, char
        return False

    def _remember(self, key: Key, moved: frozenset[int] | None) -> None:
        """No more than a few megabytes, however many ways a pattern has."""
        size = 1 + len(moved or ())
        if self._remembered + size > REMEMBERED:
            self._known.clear()
            self._remembered = 0
        self._known[key] = moved
        self._remembered += size

    def _move(self, states: frozenset[int], char: str, first: bool, last: bool, edge: bool) -> frozenset[int] | None:
        """Where all ways lead by one character, or None when one of them has matched before it."""
        seen: set[int] = set()
        after: set[int] = set()
        # A match may begin anywhere, so the first step is always among them.
        waiting = [0, *states]
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            what, argument = self._steps[at]
            if what == "done":
                return None
            if what == "fork":
                waiting.extend(argument)
            elif what == "look":
                if _holds(argument, first, last, edge):
                    waiting.append(at + 1)
            elif char and argument(char):
                after.add(at + 1)
        return frozenset(after)

    def _add(self, what: str, argument: Any) -> int:
        if len(self._steps) >= MOST_STEPS:
            raise BadPattern("the pattern is too large")
        self._steps.append((what, argument))
        return len(self._steps) - 1

    def _sequence(self, tree: Iterable[tuple[Any, Any]], flags: int) -> None:
        for what, argument in tree:
            self._node(what, argument, flags)

    def _node(self, what: Any, argument: Any, flags: int) -> None:
        if what is op.AT:
            self._add("look", argument)
        elif what is op.SUBPATTERN:
            _, added, removed, tree = argument
            self._sequence(tree, (flags | added) & ~removed)
        elif what is op.BRANCH:
            self._branch(argument[1], flags)
        elif what in (op.MAX_REPEAT, op.MIN_REPEAT):
            self._repeat(argument[0], argument[1], argument[2], flags)
        else:
            self._add("take", _test(what, argument, flags))

    def _branch(self, trees: Iterable[Any], flags: int) -> None:
        ends = []
        for tree in trees:
            fork = self._add("fork", [])
            self._sequence(tree, flags)
            ends.append(self._add("fork", []))
            self._steps[fork] = ("fork", [fork + 1, len(self._steps)])
        # The last alternative has none after it.
        self._steps[fork] = ("fork", [fork + 1])
        for end in ends:
            self._steps[end] = ("fork", [len(self._steps)])

    def _repeat(self, least: int, most: Any, tree: Any, flags: int) -> None:
        for _ in range(least):
            self._sequence(tree, flags)
        if most is op.MAXREPEAT:
            fork = self._add("fork", [])
            self._sequence(tree, flags)
            self._add("fork", [fork])
            self._steps[fork] = ("fork", [fork + 1, len(self._steps)])
            return
        forks = []
        for _ in range(int(most) - least):
            forks.append(self._add("fork", []))
            self._sequence(tree, flags)
        for fork in forks:
            self._steps[fork] = ("fork", [fork + 1, len(self._steps)])


def _test(what: Any, argument: Any, flags: int) -> Test:
    negated = what is op.NOT_LITERAL or (what is op.IN and argument[0][0] is op.NEGATE)
    if what is op.NOT_LITERAL:
        what = op.LITERAL
    elif negated:
        argument = argument[1:]
    plain = _plain_test(what, argument, flags)
    # What no case of a letter may be is not what one case of it may be.
    test = (lambda char: plain(char.lower()) or plain(char.upper())) if flags & re.IGNORECASE else plain
    return (lambda char: not test(char)) if negated else test


def _plain_test(what: Any, argument: Any, flags: int) -> Test:
    if what is op.LITERAL:
        return lambda char: ord(char[0]) == argument
    if what is op.ANY:
        return (lambda char: True) if flags & re.DOTALL else (lambda char: char != "\n")
    if what is op.RANGE:
        return lambda char: argument[0] <= ord(char[0]) <= argument[1]
    if what is op.CATEGORY:
        return _category(argument)
    if what is op.IN:
        tests = [_plain_test(item[0], item[1], flags) for item in argument]
        return lambda char: any(test(char) for test in tests)
    raise BadPattern(f"{str(what).lower()} is not supported in a pattern")


def _category(kind: Any) -> Test:
    word, negated = str(kind).removeprefix("CATEGORY_").lower(), False
    if word.startswith("not_"):
        word, negated = word.removeprefix("not_"), True
    tests: dict[str, Test] = {"digit": str.isdecimal, "space": str.isspace, "word": _is_word}
    test = tests.get(word)
    if test is None:
        raise BadPattern(f"{word} is not supported in a pattern")
    return lambda char: test(char) is not negated


def _holds(kind: Any, first: bool, last: bool, edge: bool) -> bool:
    if kind in (op.AT_BEGINNING, op.AT_BEGINNING_STRING):
        return first
    if kind in (op.AT_END, op.AT_END_STRING):
        return last
    return edge if kind is op.AT_BOUNDARY else not edge


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"
