"""What a measurement came to, and the arithmetic of it."""

from collections.abc import Sequence
from dataclasses import dataclass

GB = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``seconds`` of each request, the ``wall`` over all, the ``moved`` bytes, and what the client itself cost."""

    seconds: Sequence[float]
    wall: float
    moved: int = 0
    client_cpu: float = 0.0
    errors: Sequence[str] = ()

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.seconds) / self.wall


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that ``percent`` of all do not exceed (nearest rank)."""
    if not values:
        raise ValueError("there is no percentile of nothing")
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def cpu_per_gb(cpu: float, moved: int) -> float:
    """Processor seconds for each gigabyte (10^9 bytes) of bodies."""
    return cpu * GB / moved


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
