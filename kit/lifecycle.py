"""Lifecycles: one table of allowed moves per entity, and the error for a move that is not in it."""

from collections.abc import Mapping
from dataclasses import dataclass


class IllegalTransition(Exception):
    """An entity was told to move where its lifecycle has no arrow. Always a bug, or a lost race."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The moves one kind of entity may make.

    ``moves`` maps each status to the statuses reachable in one step; a status that maps to nothing is final.
    """

    name: str
    moves: Mapping[str, tuple[str, ...]]

    def allows(self, before: str, after: str) -> bool:
        return after in self.moves.get(before, ())

    def check(self, before: str, after: str) -> None:
        """Raise IllegalTransition unless ``before`` → ``after`` is in the table."""
        if not self.allows(before, after):
            raise IllegalTransition(f"{self.name}: {before} → {after} is not an allowed move")

    def final(self) -> frozenset[str]:
        """The statuses nothing leaves."""
        return frozenset(status for status, after in self.moves.items() if not after)

    def mermaid(self) -> str:
        """The table as a Mermaid state diagram, for ``docs/lifecycles.md``."""
        lines = ["stateDiagram-v2"]
        lines += [f"    {before} --> {after}" for before, afters in self.moves.items() for after in afters]
        lines += [f"    {status} --> [*]" for status in sorted(self.final())]
        return "\n".join(lines)
