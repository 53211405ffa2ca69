"""The tree of a cluster query, and its canonical text.

Comparisons are the leaves; ``render`` prints a tree so that it parses to the same one.
"""

import re
from dataclasses import dataclass

_PLAIN = re.compile(r"[A-Za-z0-9_.@:/\\*+%#-]+")
_RESERVED = ("and", "or", "not")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``subject operator arguments``; ``name`` is the attribute's, operators are the short spellings."""

    subject: str
    name: str = ""
    operator: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """True where the part is false."""

    part: "Tree"


@dataclass(frozen=True, slots=True)
class And:
    """True where all parts are."""

    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True where any part is."""

    parts: tuple["Tree", ...]


Tree = Comparison | Not | And | Or


def render(tree: Tree) -> str:
    """The tree as an expression, with parentheses around every part of a compound."""
    match tree:
        case Comparison(subject=subject, name=name, operator=operator, arguments=arguments):
            shown = [_quote(argument, operator) for argument in arguments]
            listed = f"[{', '.join(shown)}]" if operator in ("in", "!in") else "".join(shown)
            return f"{subject}{':' if name else ''}{name} {operator} {listed}".rstrip()
        case Not(part):
            return f"not ({render(part)})"
        case And(parts):
            return " and ".join(f"({render(part)})" for part in parts)
        case Or(parts):
            return " or ".join(f"({render(part)})" for part in parts)


def _quote(argument: str, operator: str) -> str:
    plain = operator not in ("=~", "!~") and _PLAIN.fullmatch(argument) and argument.lower() not in _RESERVED
    if plain:
        return argument
    return f'"{argument}"' if "'" in argument else f"'{argument}'"
