"""Matching without backtracking: a pattern's states, all followed at once.

``compile_pattern(pattern)`` gives a function from a value to whether the whole of it matches. The time is linear in
the value; sets of states are numbers with a bit for each, and the steps between them are remembered.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from scheduler.placement.query_regex import Alt, BadPattern, Char, Edge, Piece, Repeat, Seq, Test, parse_pattern

MOST_STATES = 600
MOST_PIECES = 6000
MOST_VALUE = 1024
_MOST_STEPS = 2000
"""Steps remembered; then they are forgotten and found again."""


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Whether a whole value matches the pattern; raises BadPattern. Values over 1,024 characters never match."""
    return _Automaton(parse_pattern(pattern)).matches


@dataclass(slots=True)
class _State:
    """A state: it waits for a character, stands at an edge, goes on freely, or (none of them) accepts."""

    test: Test | None = None
    edge: Edge | None = None
    next: list[int] = field(default_factory=list)


class _Automaton:
    def __init__(self, tree: Piece) -> None:
        self._states = [_State()]
        self._pieces = 0
        first = self._add(tree, 0)
        self._steps: dict[tuple[int, str], int] = {}
        self._edged = any(state.edge for state in self._states)
        self._start = self._closure([first], start=True)
        self._open = [self._closure([index]) for index in range(len(self._states))]

    def matches(self, value: str) -> bool:
        if len(value) > MOST_VALUE:
            return False
        current = self._start
        for character in value:
            step = (current, character)
            following = self._steps.get(step)
            if following is None:
                if len(self._steps) >= _MOST_STEPS:
                    self._steps.clear()
                following = self._steps[step] = self._step(current, character)
            if not following:
                return False
            current = following
        return bool((self._closure(_bits(current), start=not value, end=True) if self._edged else current) & 1)

    def _step(self, current: int, character: str) -> int:
        following = 0
        for index in _bits(current):
            state = self._states[index]
            if state.test is not None and state.test(character):
                following |= self._open[state.next[0]]
        return following

    def _closure(self, states: list[int], *, start: bool = False, end: bool = False) -> int:
        """All states reached without a character, as bits; edges are passed only where they are."""
        seen = 0
        waiting = list(states)
        while waiting:
            index = waiting.pop()
            if seen >> index & 1:
                continue
            seen |= 1 << index
            state = self._states[index]
            if state.test is None and (state.edge is None or (end if state.edge.end else start)):
                waiting.extend(state.next)
        return seen

    def _add(self, piece: Piece, then: int) -> int:
        """Build the piece so that it leads to ``then``; its first state."""
        # Repetitions of what is empty make no states, and yet could be counted for ever.
        self._pieces += 1
        if self._pieces > MOST_PIECES:
            raise BadPattern(0, "the pattern repeats repetitions too often")
        match piece:
            case Char(test):
                return self._new(_State(test=test, next=[then]))
            case Edge():
                return self._new(_State(edge=piece, next=[then]))
            case Seq(parts):
                for part in reversed(parts):
                    then = self._add(part, then)
                return then
            case Alt(parts):
                return self._new(_State(next=[self._add(part, then) for part in parts]))
            case Repeat(part, least, most):
                if most is None:
                    again = self._new(_State(next=[then]))
                    self._states[again].next.append(self._add(part, again))
                    then = again
                else:
                    for _ in range(most - least):
                        then = self._new(_State(next=[then, self._add(part, then)]))
                for _ in range(least):
                    then = self._add(part, then)
                return then

    def _new(self, state: _State) -> int:
        if len(self._states) >= MOST_STATES:
            raise BadPattern(0, f"the pattern needs more than {MOST_STATES} states; repeat fewer times")
        self._states.append(state)
        return len(self._states) - 1


def _bits(number: int) -> list[int]:
    found = []
    while number:
        low = number & -number
        found.append(low.bit_length() - 1)
        number ^= low
    return found
