"""What pushes of layers cost a server in memory: it must not depend on how large they are."""

from collections.abc import Sequence

from bench.registry import images
from bench.registry.clients import side_by_side
from bench.registry.images import Image
from bench.registry.layers import Layer
from bench.registry.outcome import mebibytes
from bench.registry.parts import contest_up, measure
from bench.registry.sizes import Sizes
from bench.table import print_table

REPOSITORY = "bench/memory"
SMALL = 10


def run(sizes: Sizes) -> None:
    """Print the table: the peaks of resident memory while one image after another is pushed."""
    rows: list[Sequence[str]] = []
    with contest_up([REPOSITORY]) as contest:
        for server in contest.servers:
            before, kept = server.resident, server.files()
            numbers = iter(range(100))
            for units, many in ((SMALL, 10), (sizes.large, 2)):
                for how, job in (("monolith", images.push_monolith), ("streamed", images.push_streamed)):
                    layers = [Layer(size=units * sizes.unit, number=next(numbers)) for _ in range(many)]
                    pushed = [Image(repository=REPOSITORY, layer=layer) for layer in layers]
                    server.forget_peak()
                    done = measure(server, side_by_side, job, pushed, [server.port], server.headers, 1)
                    cost = f"{done.per_gb:.2f}"
                    rows.append((f"{units} MB {how}", server.name, mebibytes(before), mebibytes(server.peak), cost))
                    server.drop_all_but(kept)
    columns = ("", "", "before", "peak", "server CPU-s/GB")
    print_table("Resident memory of the server, one push at a time; the aim: flat", columns, rows)
