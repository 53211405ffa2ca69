"""What placement answers: a host for each ask or a refusal, and for a group how many tasks each host takes."""

from dataclasses import dataclass

from scheduler.placement.refusal import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The ask's id, the id of the host it goes to, and the GPUs it is to hold there."""

    ask: str
    host: str
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One result per ask, in the order of the asks."""

    results: tuple[Placed | Refused, ...]

    @property
    def placed(self) -> tuple[Placed, ...]:
        """The asks that got a host."""
        return tuple(result for result in self.results if isinstance(result, Placed))

    @property
    def refused(self) -> tuple[Refused, ...]:
        """The asks that got none."""
        return tuple(result for result in self.results if isinstance(result, Refused))


@dataclass(frozen=True, slots=True, kw_only=True)
class On:
    """One host's share of a group; ``gpus`` names each task's devices, for asks with GPUs alone."""

    host: str
    count: int
    gpus: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPlan:
    """The hosts of a group in the order in which they are filled, and of the tasks that found no host how many and
    why (``refused.ask`` is the ask's id)."""

    on: tuple[On, ...]
    refused: Refused | None = None
    missing: int = 0

    @property
    def count(self) -> int:
        """How many tasks found a host."""
        return sum(on.count for on in self.on)
