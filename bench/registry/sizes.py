"""How much each part does; the tests do less of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The measurements as they are reported."""

    unit: int = 1_000_000  # bytes of the smallest layer; the others have 10 and 100 times as many
    pushes: tuple[int, int, int] = (100, 100, 10)  # of each size
    pulls: tuple[int, int, int] = (400, 200, 40)
    distinct: int = 4  # images of each size that pulls choose from
    mixed: int = 50  # images of 20% 1 MB, 70% 10 MB, 10% 100 MB
    width: int = 4  # images under way at once
    seconds: float = 5.0  # of each closed loop
    connections: int = 16
    repositories: int = 100
    manifests: int = 100
    tags: int = 100_000
    blobs: int = 1_000_000
    large: int = 1000  # units: the layer whose push must take no more memory than a small one
    storm: int = 10_000  # tags pushed by two processes
    uploads: int = 1_000
    upload_units: int = 2
    pullers: int = 131


FULL = Sizes()
TINY = Sizes(
    unit=40_000,
    pushes=(2, 2, 1),
    pulls=(4, 2, 1),
    distinct=2,
    mixed=10,
    width=2,
    seconds=0.2,
    connections=4,
    repositories=5,
    manifests=3,
    tags=1_500,
    blobs=2_000,
    large=100,
    storm=20,
    uploads=20,
    pullers=8,
)
