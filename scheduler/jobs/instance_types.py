"""Instance types: the sizes that a managed EC2 compute environment may ask a provisioner for.

A small table of real types of four families. ``optimal`` and a family's bare name stand for all their sizes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OPTIMAL = ("optimal", "default_x86_64")


class UnknownInstanceType(ValueError):
    """An instance type that is not in Berth's table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """One size: vCPUs and MiB as AWS sells them, and what is left for jobs once the host itself has its share."""

    name: str
    vcpus: int
    memory: int

    @property
    def cpu(self) -> int:
        """CPU units."""
        return self.vcpus * 1024

    @property
    def room(self) -> int:
        """MiB for jobs: the ECS agent and the system keep some of the machine's memory, as on EC2."""
        return self.memory - max(256, self.memory // 32)


_SIZES = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32, "12xlarge": 48, "16xlarge": 64}
_GIB_PER_VCPU = {"c5": 2, "m5": 4, "r5": 8}
# Of the c5 family some sizes differ from the others' row.
_C5 = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "9xlarge": 36, "12xlarge": 48, "18xlarge": 72}
_T3 = {"micro": (2, 1), "small": (2, 2), "medium": (2, 4), "large": (2, 8), "xlarge": (4, 16), "2xlarge": (8, 32)}

TYPES: dict[str, InstanceType] = {
    kind.name: kind
    for kind in (
        *(
            InstanceType(name=f"{family}.{size}", vcpus=vcpus, memory=vcpus * gib * 1024)
            for family, gib in _GIB_PER_VCPU.items()
            for size, vcpus in (_C5 if family == "c5" else _SIZES).items()
        ),
        *(InstanceType(name=f"t3.{size}", vcpus=vcpus, memory=gib * 1024) for size, (vcpus, gib) in _T3.items()),
    )
}


def allowed_types(names: Sequence[str]) -> tuple[InstanceType, ...]:
    """The types that ``instanceTypes`` names, the smallest first; nothing named means ``optimal``.

    Raises UnknownInstanceType.
    """
    found: dict[str, InstanceType] = {}
    for name in names or OPTIMAL[:1]:
        found |= {kind.name: kind for kind in _named(name)}
    return tuple(sorted(found.values(), key=_size))


def smallest_fitting(types: Iterable[InstanceType], cpu: int, memory: int) -> InstanceType | None:
    """The smallest of the types with room for so many CPU units and MiB, or None."""
    return min((kind for kind in types if kind.cpu >= cpu and kind.room >= memory), key=_size, default=None)


def _named(name: str) -> list[InstanceType]:
    if name in OPTIMAL:
        # As on AWS, ``optimal`` takes from the c, m and r families.
        return [kind for kind in TYPES.values() if not kind.name.startswith("t3.")]
    if name in TYPES:
        return [TYPES[name]]
    family = [kind for kind in TYPES.values() if kind.name.startswith(f"{name}.")]
    if not family:
        known = ", ".join(TYPES)
        raise UnknownInstanceType(f"Instance type {name[:64]!r} is not known to Berth, which has: optimal, {known}.")
    return family


def _size(kind: InstanceType) -> tuple[int, int, str]:
    return kind.vcpus, kind.memory, kind.name
