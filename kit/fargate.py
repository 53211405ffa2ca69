"""Fargate's sizes: which memory goes with which cpu. Source: ECS developer guide, "Task size" for Fargate."""

from collections.abc import Iterable, Mapping
from typing import Any

GIB = 1024


# The one platform that there is, and what else it is called.
PLATFORM_VERSION = "1.4.0"
PLATFORM_VERSIONS = (None, "", "LATEST", PLATFORM_VERSION)


class FargateRefusal(ValueError):
    """The pair of cpu and memory is none that Fargate offers."""


def _every(step: int, first: int, last: int) -> range:
    return range(first, last + 1, step)


# CPU units to the memory sizes (MiB) that go with them.
SIZES: dict[int, Iterable[int]] = {
    256: (512, 1 * GIB, 2 * GIB),
    512: _every(GIB, 1 * GIB, 4 * GIB),
    1024: _every(GIB, 2 * GIB, 8 * GIB),
    2048: _every(GIB, 4 * GIB, 16 * GIB),
    4096: _every(GIB, 8 * GIB, 30 * GIB),
    8192: _every(4 * GIB, 16 * GIB, 60 * GIB),
    16384: _every(8 * GIB, 32 * GIB, 120 * GIB),
}
# GiB that tasks may write to their containers' layers and their own volumes, unless they ask for more.
USUAL_STORAGE = 20


def storage_of(definition: Mapping[str, Any], overrides: Mapping[str, Any]) -> int:
    """GiB of ``ephemeralStorage`` that a Fargate task has, of its task definition and what is overridden of it."""
    for said in (overrides, definition):
        if said.get("ephemeralStorage"):
            return int(said["ephemeralStorage"]["sizeInGiB"])
    return USUAL_STORAGE


def check_fargate_size(cpu: int, memory: int) -> None:
    """Raise FargateRefusal unless ``cpu`` units and ``memory`` MiB are a pair that Fargate offers."""
    if memory not in SIZES.get(cpu, ()):
        raise FargateRefusal(f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory.")
