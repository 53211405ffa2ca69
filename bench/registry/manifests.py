"""Manifests read again and again, by tag and by digest, of one process; Berth's looks up SQL and token each time.

Each was read once before: Berth writes down an image's first pull in an hour.
"""

from collections.abc import Sequence

from bench.registry import images
from bench.registry.clients import get_again
from bench.registry.images import Image
from bench.registry.layers import Layer, digest_of
from bench.registry.parts import TIMES, contest_up, measure, ratio, times
from bench.registry.servers import Server
from bench.registry.sizes import Sizes
from bench.registry.wire import Connection
from bench.table import print_table

REPOSITORY = "bench/manifests"
AIM_RATE, AIM_P99 = "≥ 10,000/s", "≤ 10 ms"


def run(sizes: Sizes) -> None:
    """Print the table."""
    pushed = [Image(repository=REPOSITORY, layer=Layer(size=1000, number=number)) for number in range(sizes.manifests)]
    with contest_up([REPOSITORY]) as contest:
        rows: list[Sequence[str]] = []
        for server in contest.servers:
            fill(server, pushed)
        for name, references in (
            ("by tag", [image.tag for image in pushed]),
            ("by digest", [digest_of(image.layer.manifest()) for image in pushed]),
        ):
            paths = [f"/v2/{REPOSITORY}/manifests/{reference}" for reference in references]
            runs = [
                measure(
                    server,
                    get_again,
                    server.port,
                    server.headers + images.ACCEPT,
                    paths,
                    sizes.connections,
                    sizes.seconds,
                )
                for server in contest.servers
            ]
            peer = runs[1].outcome.rate if len(runs) > 1 else None
            for number, done in enumerate(runs):
                own = number == 0
                rows.append(
                    (
                        f"GET manifest {name}" if own else "",
                        done.server,
                        *times(done),
                        f"{done.per_request * 1e6:,.0f} µs",
                        f"{done.outcome.client_cpu / len(done.outcome.seconds) * 1e6:,.0f} µs",
                        ratio(done.outcome.rate, peer) if own else "",
                        f"{AIM_RATE}, p99 {AIM_P99}" if own else "",
                    )
                )
    columns = ("", "", *TIMES, "server CPU each", "client CPU each", "of the peer's rate", "aim")
    print_table(f"{sizes.manifests} manifests, {sizes.connections} connections", columns, rows)


def fill(server: Server, pushed: Sequence[Image]) -> None:
    """Push them, and read each once."""
    with Connection(server.port, server.headers) as connection:
        for image in pushed:
            images.push_monolith(connection, image)
            images.check_pull(connection, image)
