"""A thousand uploads at once: all are begun, all have sent half of their bytes, and only then does any go on.

What a server holds for each of them in memory is so held for all at the same time. None may fail.
"""

import threading
import time
from collections.abc import Sequence
from itertools import islice

from bench.registry.clients import in_threads
from bench.registry.layers import Layer
from bench.registry.outcome import Outcome, mebibytes, milliseconds, percentile
from bench.registry.parts import contest_up, measure
from bench.registry.sizes import Sizes
from bench.registry.wire import BadAnswer, Connection
from bench.table import print_table

REPOSITORY = "bench/uploads"
PATIENCE = 110.0


def run(sizes: Sizes) -> None:
    """Print the table."""
    rows: list[Sequence[str]] = []
    size = sizes.upload_units * sizes.unit
    with contest_up([REPOSITORY]) as contest:
        for server in contest.servers:
            before = server.resident
            server.forget_peak()
            done = measure(server, upload_all, server.port, server.headers, size, sizes.uploads)
            outcome, peak = done.outcome, server.peak
            rows.append(
                (
                    server.name,
                    str(len(outcome.seconds)),
                    str(len(outcome.errors)),
                    f"{outcome.wall:.1f} s",
                    milliseconds(percentile(outcome.seconds, 99)) if outcome.seconds else "",
                    mebibytes(before),
                    mebibytes(peak),
                    f"{done.per_gb:.2f}" if done.per_gb is not None else "",
                )
            )
            for error in sorted(set(outcome.errors))[:3]:
                print(f"bench.registry uploads: {server.name}: {error}")
            server.drop_all_but(set())
    columns = ("", "done", "failed", "wall", "p99 of the end", "memory before", "peak", "server CPU-s/GB")
    print_table(f"{sizes.uploads:,} uploads of {size / 1e6:g} MB, all open at once; the aim: none fails", columns, rows)


def upload_all(port: int, headers: str, size: int, many: int) -> Outcome:
    """A thread and a connection for each, in the clients' process. ``seconds`` are those of the second halves."""
    halfway = threading.Barrier(many)
    took: list[float] = []
    errors: list[str] = []

    def work(number: int) -> None:
        try:
            with Connection(port, headers) as connection:
                took.append(_upload(connection, Layer(size=size, number=number), halfway))
        except (OSError, BadAnswer, threading.BrokenBarrierError) as error:
            halfway.abort()
            errors.append(f"{type(error).__name__}: {error}")

    began = time.perf_counter()
    in_threads(work, many)
    return Outcome(seconds=took, wall=time.perf_counter() - began, moved=len(took) * size, errors=errors)


def _upload(connection: Connection, layer: Layer, halfway: threading.Barrier) -> float:
    begun = connection.call("POST", f"/v2/{REPOSITORY}/blobs/uploads/", expect=202)
    path = begun.headers["location"]
    path = path if path.startswith("/") else "/" + path.split("/", 3)[3]
    path += ("&" if "?" in path else "?") + f"digest={layer.digest}"
    pieces = layer.pieces()
    length = f"Content-Type: application/octet-stream\r\nContent-Length: {layer.size}\r\n"
    connection.begin("PUT", path, headers=length, body=list(islice(pieces, 1)))
    halfway.wait(PATIENCE)
    began = time.perf_counter()
    connection.send(pieces)
    connection.end("PUT", path, expect=201)
    return time.perf_counter() - began
