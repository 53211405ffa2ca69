"""The list of zot's ``zb``: catalogue, pushes and pulls of images of one layer, by size and mixed.

A push is a layer, a configuration and a manifest; a pull is the manifest and the layer. Layers of a push are new ones;
what is pulled lies in the page cache, was pushed here, and was compared byte by byte before.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from bench.registry import images
from bench.registry.clients import get_again, side_by_side
from bench.registry.images import Image, Part
from bench.registry.layers import Layer
from bench.registry.parts import TIMES, Contest, Run, contest_up, measure, ratio, times
from bench.registry.servers import Server
from bench.registry.sizes import Sizes
from bench.registry.wire import Connection
from bench.table import print_table

NAMES = ("1MB", "10MB", "100MB")
FACTORS = (1, 10, 100)
MIX = (0.2, 0.7, 0.1)
MIXED = "Mixed 20% 1MB, 70% 10MB, 10% 100MB"
PUSHED, PULLED = "bench/pushed", "bench/pulled"
PULL_AIM, PUSH_AIM = 0.30, 1.60


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A row: what it is called, what its clients do with one contestant, and the aim in CPU-s/GB, if it has one."""

    name: str
    run: Callable[[Server], Run]
    aim: float | None = None


def run(sizes: Sizes) -> None:
    """Print the table."""
    with contest_up([PUSHED, PULLED, *_catalogue(sizes)]) as contest:
        rows: list[Sequence[str]] = []
        for case in cases(contest, sizes):
            runs = [case.run(server) for server in contest.servers]
            peer = runs[1].per_gb if len(runs) > 1 else None
            for number, done in enumerate(runs):
                rows.append(_row(case, done, peer, first=number == 0))
    columns = ("", "", *TIMES, "server CPU-s/GB", "of the peer's", "aim")
    print_table(f"zb's list, {sizes.width} images at a time; the peer without authentication", columns, rows)


def cases(contest: Contest, sizes: Sizes) -> Sequence[Case]:
    """The rows in zb's order; what they pull is pushed first."""
    for server in contest.servers:
        fill(server, sizes)
    kinds = list(zip(NAMES, FACTORS, sizes.pushes, sizes.pulls, strict=True))
    numbers = count(1000)
    pushes = [
        Case(
            name=f"Push {how} {name}",
            run=_pushing(job, [factor * sizes.unit] * many, sizes, numbers),
            aim=PUSH_AIM if factor > 1 else None,
        )
        for how, job in (("Monolith", images.push_monolith), ("Chunk Streamed", images.push_streamed))
        for name, factor, many, _ in kinds
    ]
    pulls = [
        Case(name=f"Pull {name}", run=_pulling([factor] * many, sizes), aim=PULL_AIM if factor > 1 else None)
        for name, factor, _, many in kinds
    ]
    mix = mixed(sizes.mixed)
    return [
        Case(name="Get Catalog", run=lambda server: _catalog(server, sizes)),
        *pushes,
        Case(
            name=f"Push {MIXED}",
            run=_pushing(images.push_monolith, [factor * sizes.unit for factor in mix], sizes, numbers),
            aim=PUSH_AIM,
        ),
        *pulls,
        Case(name="Pull 100MB in ranges of 10MB", run=lambda server: _ranges(server, sizes), aim=PULL_AIM),
        Case(name=f"Pull {MIXED}", run=_pulling(mix * 2, sizes), aim=PULL_AIM),
    ]


def mixed(many: int) -> list[int]:
    """Factors in the proportions of MIX, in an order that is the same each time."""
    counts = [round(many * share) for share in MIX]
    found = [factor for factor, times in zip(FACTORS, counts, strict=True) for _ in range(times)]
    random.Random(7).shuffle(found)
    return found


def fill(server: Server, sizes: Sizes) -> None:
    """Push what is pulled later and what the catalogue lists, and compare it."""
    with Connection(server.port, server.headers) as connection:
        for factor in FACTORS:
            for number in range(sizes.distinct):
                image = _pulled(factor, number, sizes)
                images.push_monolith(connection, image)
                images.check_pull(connection, image)
        for name in _catalogue(sizes):
            images.push_monolith(connection, Image(repository=name, layer=Layer(size=1000, number=0)))


def _catalogue(sizes: Sizes) -> list[str]:
    return [f"team/service-{number:04}" for number in range(sizes.repositories)]


def _pulled(factor: int, number: int, sizes: Sizes) -> Image:
    return Image(repository=PULLED, layer=Layer(size=factor * sizes.unit, number=number))


def _catalog(server: Server, sizes: Sizes) -> Run:
    path = f"/v2/_catalog?n={sizes.repositories}"
    return measure(server, get_again, server.port, server.headers, [path], sizes.width, sizes.seconds)


def _pushing(
    job: Callable[[Connection, Image], int], wanted: Sequence[int], sizes: Sizes, numbers: "count[int]"
) -> Callable[[Server], Run]:
    pushed = [Image(repository=PUSHED, layer=Layer(size=size, number=next(numbers))) for size in wanted]

    def run(server: Server) -> Run:
        kept = server.files()
        done = measure(server, side_by_side, job, pushed, [server.port], server.headers, sizes.width)
        server.drop_all_but(kept)
        return done

    return run


def _pulling(factors: Sequence[int], sizes: Sizes) -> Callable[[Server], Run]:
    wanted = [_pulled(factor, number % sizes.distinct, sizes) for number, factor in enumerate(factors)]
    return lambda server: measure(server, side_by_side, images.pull, wanted, [server.port], server.headers, sizes.width)


def _ranges(server: Server, sizes: Sizes) -> Run:
    length = 10 * sizes.unit
    parts = [
        Part(image=_pulled(100, number % sizes.distinct, sizes), first=first, length=length)
        for number in range(sizes.pulls[2])
        for first in range(0, 100 * sizes.unit, length)
    ]
    return measure(server, side_by_side, images.pull_part, parts, [server.port], server.headers, sizes.width)


def _row(case: Case, done: Run, peer: float | None, *, first: bool) -> Sequence[str]:
    per_gb = done.per_gb if case.name != "Get Catalog" else None
    cost = f"{per_gb:.2f}" if per_gb is not None else f"{done.per_request * 1e6:,.0f} µs each"
    aim = f"≤ {case.aim:.2f}" if case.aim is not None and first else ""
    compared = ratio(per_gb, peer) if first else ""
    return (case.name if first else "", done.server, *times(done), cost, compared, aim)
