"""Devices a task asks for: whole GPUs by container, and accelerators, which are named resources of a host.

ECS words both as ``resourceRequirements`` of containers. An accelerator of a task definition is one unit of the host
resource that bears its device type's name. Source: ECS API, ResourceRequirement and InferenceAccelerator.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from scheduler.placement.sizes import gpu_count

GPU = "GPU"
ACCELERATOR = "InferenceAccelerator"


def requirements_of(container: Mapping[str, Any], override: Mapping[str, Any] | None = None) -> list[Mapping[str, Any]]:
    """A container's resource requirements; a run's override replaces those of the types it names."""
    instead: Sequence[Mapping[str, Any]] = (override or {}).get("resourceRequirements") or ()
    replaced = {requirement.get("type") for requirement in instead}
    own: Sequence[Mapping[str, Any]] = container.get("resourceRequirements") or ()
    return [*(requirement for requirement in own if requirement.get("type") not in replaced), *instead]


def gpus_by_container(definition: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> dict[str, int]:
    """How many GPUs each container needs, in the definition's order; containers without any are left out.

    Raises BadSize.
    """
    counts = {}
    for container, requirements in _containers(definition, overrides or {}):
        needed = sum(gpu_count(r.get("value") or "") for r in requirements if r.get("type") == GPU)
        if needed:
            counts[container] = needed
    return counts


def accelerators_of(
    definition: Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> tuple[tuple[str, int], ...]:
    """Amounts of named resources: one of its type for each accelerator that a container names."""
    given = overrides or {}
    types = {
        accelerator.get("deviceName"): str(accelerator.get("deviceType"))
        for accelerators in (definition.get("inferenceAccelerators"), given.get("inferenceAcceleratorOverrides"))
        for accelerator in accelerators or ()
    }
    named = {
        requirement.get("value")
        for _, requirements in _containers(definition, given)
        for requirement in requirements
        if requirement.get("type") == ACCELERATOR
    }
    return tuple(sorted(Counter(types[name] for name in named if name in types).items()))


def share_gpus(
    definition: Mapping[str, Any], overrides: Mapping[str, Any] | None, gpus: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Which of the task's GPUs each container gets: no device is anybody else's, and all are given out."""
    shares = {}
    start = 0
    for container, count in gpus_by_container(definition, overrides).items():
        shares[container] = tuple(gpus[start : start + count])
        start += count
    if start != len(gpus):
        raise ValueError(f"{len(gpus)} GPUs were placed for containers that need {start}")
    return shares


def _containers(
    definition: Mapping[str, Any], overrides: Mapping[str, Any]
) -> list[tuple[str, list[Mapping[str, Any]]]]:
    by_name = {override.get("name"): override for override in overrides.get("containerOverrides") or ()}
    return [
        (str(container.get("name")), requirements_of(container, by_name.get(container.get("name"))))
        for container in definition.get("containerDefinitions") or ()
    ]
