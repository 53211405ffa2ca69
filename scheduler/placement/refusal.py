"""Refusals: why no host takes an ask, counted by reason, with the host that came closest.

A refusal speaks twice: ``text()`` for people, ``failures()`` for the ``failures[]`` of RunTask and StartTask.
"""

from dataclasses import dataclass
from enum import StrEnum

MOST_OBJECTIONS = 100
"""A refusal names at most so many hosts; its reasons count all of them."""


class Why(StrEnum):
    """Why one host cannot take one ask, in the order in which it is found out: the later, the nearer."""

    INACTIVE = "not active"
    DRAINING = "draining"
    DISCONNECTED = "agent disconnected"
    ATTRIBUTE = "missing attribute"
    MEMBER_OF = "memberOf"
    DISTINCT = "distinctInstance"
    MEMORY = "memory"
    CPU = "cpu"
    GPUS = "GPUs"
    RESOURCE = "resource"
    PORTS = "host port"
    ADDRESSES = "addresses"
    CONTENDED = "changed meanwhile"


FAILURE_REASONS = {
    Why.INACTIVE: "INACTIVE",
    Why.DRAINING: "INACTIVE",
    Why.DISCONNECTED: "AGENT",
    Why.ATTRIBUTE: "ATTRIBUTE",
    Why.MEMBER_OF: "MemberOf placement constraint unsatisfied.",
    Why.DISTINCT: "DistinctInstance placement constraint unsatisfied.",
    Why.MEMORY: "RESOURCE:MEMORY",
    Why.CPU: "RESOURCE:CPU",
    Why.GPUS: "RESOURCE:GPU",
    Why.RESOURCE: "RESOURCE",
    Why.PORTS: "RESOURCE:PORTS",
    Why.ADDRESSES: "RESOURCE:ENI",
    Why.CONTENDED: "RESOURCE",
}
"""As in "API failure reasons" of the ECS developer guide."""

_UNITS = {Why.MEMORY: " MiB", Why.CPU: " CPU units"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """One host's reason to refuse: how much was asked and is free, in the unit of the reason, and of what."""

    host: str
    why: Why
    asked: int | None = None
    free: int | None = None
    what: str = ""

    def failure(self) -> str:
        """The ``reason`` of an ECS failure."""
        if self.why is Why.RESOURCE:
            return f"RESOURCE:{self.what}"
        return FAILURE_REASONS[self.why]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """How many hosts refused for one reason, and the one that came closest."""

    why: Why
    hosts: int
    closest: str
    asked: int | None = None
    free: int | None = None
    what: str = ""

    def text(self) -> str:
        """``memory: 32000 MiB asked, 31431 free on HOST (3 hosts)``, or ``draining: 1 host``."""
        name = f"{self.why} {self.what}" if self.what else str(self.why)
        hosts = "1 host" if self.hosts == 1 else f"{self.hosts} hosts"
        if self.asked is None:
            return f"{name}: {hosts}"
        return f"{name}: {self.asked}{_UNITS.get(self.why, '')} asked, {self.free} free on {self.closest} ({hosts})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """No host fits now. ``objections`` holds one entry a host, the nearest hosts first and at most 100."""

    ask: str
    reasons: tuple[Reason, ...]
    objections: tuple[Objection, ...]

    def text(self) -> str:
        """``memory: 900 MiB asked, 800 free on HOST (3 hosts); draining: 1 host``."""
        if not self.reasons:
            return "no container instances in the cluster"
        return "; ".join(reason.text() for reason in self.reasons)

    def closest(self) -> Objection | None:
        """The host that came nearest to fitting: the last hurdle, and there the smallest shortage."""
        return self.objections[0] if self.objections else None

    def failures(self) -> list[dict[str, str]]:
        """``failures[]`` as RunTask answers it; ``arn`` holds the host's id."""
        return [{"arn": objection.host, "reason": objection.failure()} for objection in self.objections]
