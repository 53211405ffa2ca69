"""What placement answers: a host for each ask, or a refusal that counts its reasons.

A refusal speaks twice: ``text()`` for people, ``failures()`` for the ``failures[]`` of RunTask and StartTask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Why(StrEnum):
    """Why one host cannot take one ask."""

    INACTIVE = "not active"
    DRAINING = "draining"
    DISCONNECTED = "agent disconnected"
    ATTRIBUTE = "missing attribute"
    DISTINCT = "distinctInstance"
    MEMORY = "memory"
    CPU = "cpu"
    PORTS = "host ports"
    ADDRESSES = "addresses"


FAILURE_REASONS = {
    Why.INACTIVE: "INACTIVE",
    Why.DRAINING: "INACTIVE",
    Why.DISCONNECTED: "AGENT",
    Why.ATTRIBUTE: "ATTRIBUTE",
    Why.DISTINCT: "DistinctInstance placement constraint unsatisfied.",
    Why.MEMORY: "RESOURCE:MEMORY",
    Why.CPU: "RESOURCE:CPU",
    Why.PORTS: "RESOURCE:PORTS",
    Why.ADDRESSES: "RESOURCE:ENI",
}
"""As in "API failure reasons" of the ECS developer guide."""

_UNITS = {Why.MEMORY: " MiB", Why.CPU: " CPU units"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """One host's reason to refuse; ``short`` says by how much, in the unit of the reason, ``what`` is missing."""

    host: str
    why: Why
    short: int | None = None
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """How many hosts refused for one reason, and the one that came closest."""

    why: Why
    hosts: int
    closest: str
    short: int | None = None
    what: str = ""

    def text(self) -> str:
        """``memory: 3 hosts, the closest 431 MiB short``, or ``draining: 1``."""
        if self.short is None or self.why not in _UNITS:
            return f"{self.why} {self.what}: {self.hosts}" if self.what else f"{self.why}: {self.hosts}"
        plural = "host" if self.hosts == 1 else "hosts"
        return f"{self.why}: {self.hosts} {plural}, the closest {self.short}{_UNITS[self.why]} short"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The ask's id and the id of the host it goes to."""

    ask: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """No host fits now. ``objections`` holds one entry per host, by host id."""

    ask: str
    reasons: tuple[Reason, ...]
    objections: tuple[Objection, ...]

    def text(self) -> str:
        """``memory: 3 hosts, the closest 431 MiB short; draining: 1``."""
        if not self.reasons:
            return "no container instances in the cluster"
        return "; ".join(reason.text() for reason in self.reasons)

    def closest(self) -> Objection | None:
        """The host that came nearest to fitting: the last hurdle, and there the smallest shortage."""
        return max(self.objections, key=_nearness, default=None)

    def failures(self) -> list[dict[str, str]]:
        """``failures[]`` as RunTask answers it; ``arn`` holds the host's id."""
        return [{"arn": objection.host, "reason": FAILURE_REASONS[objection.why]} for objection in self.objections]


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


def count_reasons(objections: Sequence[Objection]) -> tuple[Reason, ...]:
    """Group objections by reason: most hosts first, then in the order of ``Why``."""
    grouped: dict[tuple[Why, str], list[Objection]] = {}
    for objection in objections:
        grouped.setdefault((objection.why, objection.what), []).append(objection)
    order = list(Why)
    reasons = []
    for (why, what), group in grouped.items():
        nearest = min(group, key=lambda objection: objection.short or 0)
        reasons.append(Reason(why=why, hosts=len(group), closest=nearest.host, short=nearest.short, what=what))
    return tuple(sorted(reasons, key=lambda reason: (-reason.hosts, order.index(reason.why))))


def _nearness(objection: Objection) -> tuple[int, int]:
    return (list(Why).index(objection.why), -(objection.short or 0))
