"""The cluster query language of ECS: which container instances an expression names.

``parse(expression)`` gives a ``Query`` that tells of each host whether it is one of them, or raises BadQuery with
the place of the mistake. Pure, and bounded in length, nesting and the cost of patterns. The same expression is
read once.
Source: ECS developer guide, "Create expressions to define container instances for Amazon ECS tasks".
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from scheduler.placement.query_subjects import SUBJECTS, VOLATILE, Check, read_comparison
from scheduler.placement.query_tree import And, Comparison, Not, Or, Tree
from scheduler.placement.query_words import BadQuery, Words
from scheduler.placement.world import Host

__all__ = ["MOST_CHARACTERS", "BadQuery", "Query", "parse"]

MOST_CHARACTERS = 2000
"""Source: CloudFormation, AWS::ECS::Service PlacementConstraint."""
MOST_DEPTH = 40

_SPELLINGS = {
    "equals": "==",
    "not_equals": "!=",
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
    "not_exists": "!exists",
    "not_in": "!in",
    "matches": "=~",
    "not_matches": "!~",
}
_OPERATOR = re.compile(
    r"==|!=|>=|<=|=~|!~|>|<|(?:!(?:exists|in)|exists|in|{})(?![\w:.@/\\-])".format("|".join(_SPELLINGS)),
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """An expression that was read."""

    expression: str
    tree: Tree
    volatile: bool
    """Whether it reads what changes as tasks are placed: ``runningTasksCount`` or ``task:group``."""
    check: Check

    def matches(self, host: Host) -> bool:
        """Whether the expression is true of the host."""
        return self.check(host)


@lru_cache(maxsize=256)
def parse(expression: str) -> Query:
    """Read an expression; raises BadQuery."""
    if len(expression) > MOST_CHARACTERS:
        raise BadQuery(
            MOST_CHARACTERS, f"an expression has at most {MOST_CHARACTERS} characters, not {len(expression)}"
        )
    parser = _Parser(expression)
    tree, check = parser.disjunction(0)
    if parser.words.skip() < len(expression):
        raise parser.words.expected("and, or, or the end")
    return Query(expression=expression, tree=tree, volatile=parser.volatile, check=check)


class _Parser:
    """One rule of the grammar a method: or, and, not and parentheses, comparison."""

    def __init__(self, expression: str) -> None:
        self.words = Words(expression)
        self.volatile = False

    def disjunction(self, depth: int) -> tuple[Tree, Check]:
        parts = [self.conjunction(depth)]
        while self.words.keyword("or", "||"):
            parts.append(self.conjunction(depth))
        if len(parts) == 1:
            return parts[0]
        checks = tuple(check for _, check in parts)
        return Or(tuple(tree for tree, _ in parts)), lambda host: any(check(host) for check in checks)

    def conjunction(self, depth: int) -> tuple[Tree, Check]:
        parts = [self.term(depth)]
        while self.words.keyword("and", "&&"):
            parts.append(self.term(depth))
        if len(parts) == 1:
            return parts[0]
        checks = tuple(check for _, check in parts)
        return And(tuple(tree for tree, _ in parts)), lambda host: all(check(host) for check in checks)

    def term(self, depth: int) -> tuple[Tree, Check]:
        start = self.words.skip()
        if depth > MOST_DEPTH:
            raise BadQuery(start, f"parentheses and not go at most {MOST_DEPTH} deep")
        if self.words.keyword("not") or self.words.mark("!"):
            tree, check = self.term(depth + 1)
            return Not(tree), lambda host: not check(host)
        if self.words.mark("("):
            inner = self.disjunction(depth + 1)
            if not self.words.mark(")"):
                raise self.words.expected(f"and, or, or the ) of the ( at position {start}")
            return inner
        return self.comparison()

    def comparison(self) -> tuple[Tree, Check]:
        subject = self.words.subject(SUBJECTS)
        name = self.words.name() if subject == "attribute" else ""
        allowed = SUBJECTS[subject]
        place = self.words.skip()
        spelled = self.words.operator(_OPERATOR, ", ".join(allowed)).lower()
        operator = _SPELLINGS.get(spelled, spelled)
        if operator not in allowed:
            raise BadQuery(place, f"{subject} does not take {spelled}: {', '.join(allowed)}")
        match operator:
            case "exists" | "!exists":
                arguments = []
            case "in" | "!in":
                arguments = self.listed()
            case "=~" | "!~":
                arguments = [self.words.pattern()]
            case _:
                arguments = [self.words.value()]
        self.volatile = self.volatile or subject in VOLATILE
        tree = Comparison(
            subject=subject, name=name, operator=operator, arguments=tuple(value for _, value in arguments)
        )
        return tree, read_comparison(tree, [place for place, _ in arguments])

    def listed(self) -> list[tuple[int, str]]:
        if not self.words.mark("["):
            raise self.words.expected("a list like [a, b]")
        values = [self.words.value()]
        while self.words.mark(","):
            values.append(self.words.value())
        if not self.words.mark("]"):
            raise self.words.expected("a comma or ]")
        return values
