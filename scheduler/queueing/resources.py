"""Resources: what a job asks for, from ``resourceRequirements`` to CPU units and MiB.

The older members ``vcpus`` and ``memory`` still count where no requirement of that type is given.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

FARGATE_MEMORY = {
    256: (512, 1024, 2048),
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16384 + 1, 1024),
    4096: range(8192, 30720 + 1, 1024),
    8192: range(16384, 61440 + 1, 4096),
    16384: range(32768, 122880 + 1, 8192),
    32768: (61440, 122880, 249856),
}
"""MiB that Fargate offers for each number of CPU units."""

SMALLEST_MEMORY = 4


class BadResources(ValueError):
    """Resource requirements that Batch refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDemand:
    """CPU units, MiB and GPUs of one job."""

    cpu: int
    memory: int
    gpus: int = 0


def demand_of_job(
    container: Mapping[str, Any], overrides: Mapping[str, Any] | None = None, *, fargate: bool = False
) -> JobDemand:
    """The demand of a job, from ``containerProperties`` and SubmitJob's ``containerOverrides``.

    Raises BadResources. Source: Batch API, ResourceRequirement.
    """
    wanted = {**_requirements(container), **_requirements(overrides or {})}
    unknown = wanted.keys() - {"VCPU", "MEMORY", "GPU"}
    if unknown:
        raise BadResources(f"Unknown resource type {sorted(unknown)[0]!r}: VCPU, MEMORY or GPU.")
    for kind in ("VCPU", "MEMORY"):
        if kind not in wanted:
            raise BadResources(f"The job needs a resource requirement of type {kind}.")
    demand = JobDemand(
        cpu=_cpu(wanted["VCPU"], fargate),
        memory=_whole("MEMORY", wanted["MEMORY"], SMALLEST_MEMORY),
        gpus=_whole("GPU", wanted["GPU"], 1) if "GPU" in wanted else 0,
    )
    if fargate:
        _check_fargate(demand)
    return demand


def _requirements(container: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    if container.get("vcpus"):
        found["VCPU"] = str(container["vcpus"])
    if container.get("memory"):
        found["MEMORY"] = str(container["memory"])
    for requirement in container.get("resourceRequirements") or ():
        found[str(requirement.get("type"))] = str(requirement.get("value"))
    return found


def _cpu(text: str, fargate: bool) -> int:
    if not fargate:
        return _whole("VCPU", text, 1) * 1024
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text):
        raise BadResources(f"VCPU must be a number such as 0.25, not {text!r}.")
    units = Fraction(text) * 1024
    if units.denominator != 1:
        raise BadResources(f"VCPU {text} is not one that Fargate offers.")
    return int(units)


def _whole(kind: str, text: str, least: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
        raise BadResources(f"{kind} must be a whole number of at least {least}, not {text!r}.")
    return int(text)


def _check_fargate(demand: JobDemand) -> None:
    if demand.gpus:
        raise BadResources("Fargate offers no GPU.")
    offered = FARGATE_MEMORY.get(demand.cpu)
    if offered is None:
        choices = ", ".join(f"{units / 1024:g}" for units in FARGATE_MEMORY)
        raise BadResources(f"VCPU {demand.cpu / 1024:g} is not one that Fargate offers: {choices}.")
    if demand.memory not in offered:
        raise BadResources(f"MEMORY {demand.memory} does not go with VCPU {demand.cpu / 1024:g} on Fargate.")
