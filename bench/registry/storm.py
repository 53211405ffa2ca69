"""Tags pushed to one repository by two registry processes at once: afterwards all are there, and each is its own.

Every tag gets a manifest of its own. Through either process all tags are listed, and each is asked for its digest.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.registry import images
from bench.registry.clients import side_by_side
from bench.registry.images import ACCEPT, Image
from bench.registry.layers import MANIFEST, Layer, digest_of
from bench.registry.outcome import milliseconds, percentile
from bench.registry.parts import Run, has_peer, measure, scratch
from bench.registry.servers import BERTH, PEER, Server, berth_up, ground_made, peer_up
from bench.registry.sizes import Sizes
from bench.registry.wire import BadAnswer, Connection
from bench.scale.notrun import NotRun
from bench.scale.postgres import postgres_up
from bench.table import print_table

REPOSITORY = "bench/storm"
LAYER = Layer(size=1000, number=0)
WIDTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What it came to: the pushes, and how many tags were lost or point elsewhere."""

    run: Run
    lost: int


def run(sizes: Sizes) -> None:
    """Print the table."""
    with scratch() as folder:
        done = [(f"{BERTH}, SQLite", berth_storm(folder / "sqlite", "", sizes))]
        try:
            # A folder of its own: its user must be able to go there.
            with scratch() as place, postgres_up(place) as url:
                done.append((f"{BERTH}, PostgreSQL", berth_storm(folder / "postgresql", url, sizes)))
        except NotRun as why:
            print(f"bench.registry: without PostgreSQL: {why}")
        if has_peer():
            done.append((f"{PEER}, files", peer_storm(make(folder / "peers"), sizes)))
        rows = []
        for name, storm in done:
            outcome = storm.run.outcome
            rows.append(
                (
                    name,
                    f"{len(outcome.seconds):,}",
                    f"{outcome.wall:.1f} s",
                    f"{outcome.rate:,.0f}",
                    *(milliseconds(percentile(outcome.seconds, percent)) for percent in (50, 99)),
                    str(storm.lost),
                    "0" if name.startswith(BERTH) else "",
                )
            )
        columns = ("", "pushed", "wall", "per second", "p50", "p99", "lost", "aim")
        print_table(f"Tags of one repository, pushed through two processes, {WIDTH} at a time", columns, rows)


def berth_storm(folder: Path, store_url: str, sizes: Sizes) -> Storm:
    """On two ``berth registry`` over one store and one folder of blobs."""
    with ExitStack() as stack:
        ground = stack.enter_context(ground_made(folder, store_url))
        ground.make_repositories([REPOSITORY])
        return rage([stack.enter_context(berth_up(ground)) for _ in range(2)], sizes)


def peer_storm(folder: Path, sizes: Sizes) -> Storm:
    """On two ``docker-registry`` over one folder."""
    with ExitStack() as stack:
        return rage([stack.enter_context(peer_up(folder)) for _ in range(2)], sizes)


def rage(servers: Sequence[Server], sizes: Sizes) -> Storm:
    """Push through both, then look through both."""
    first, ports = servers[0], [server.port for server in servers]
    with Connection(first.port, first.headers) as connection:
        images.push_monolith(connection, Image(repository=REPOSITORY, layer=LAYER))
    numbers = range(sizes.storm)
    done = measure(first, side_by_side, push_tag, numbers, ports, first.headers, WIDTH)
    found = measure(first, side_by_side, check_tag, numbers, ports, first.headers, WIDTH)
    lost = len(numbers) - found.outcome.moved
    listed = [len(set(list_tags(server)) & {tag_of(number) for number in numbers}) for server in servers]
    return Storm(run=done, lost=max(lost, len(numbers) - min(listed)))


def push_tag(connection: Connection, number: int) -> int:
    """One tag, with a manifest of its own."""
    path = f"/v2/{REPOSITORY}/manifests/{tag_of(number)}"
    body = manifest_of(number)
    connection.call("PUT", path, expect=201, headers=f"Content-Type: {MANIFEST}\r\n", body=body)
    return len(body)


def check_tag(connection: Connection, number: int) -> int:
    """1 where the tag is there and has its own manifest."""
    try:
        answer = connection.call("HEAD", f"/v2/{REPOSITORY}/manifests/{tag_of(number)}", expect=200, headers=ACCEPT)
    except BadAnswer:
        return 0
    return int(answer.headers["docker-content-digest"] == digest_of(manifest_of(number)))


def list_tags(server: Server) -> list[str]:
    """All tags, page after page."""
    found: list[str] = []
    with Connection(server.port, server.headers) as connection:
        path = f"/v2/{REPOSITORY}/tags/list"
        while path:
            answer = connection.call("GET", path, expect=200)
            found += json.loads(answer.body)["tags"]
            link = answer.headers.get("link", "")
            path = link[link.index("<") + 1 : link.index(">")] if link else ""
    return found


def tag_of(number: int) -> str:
    return f"t{number:06d}"


def manifest_of(number: int) -> bytes:
    said = json.loads(LAYER.manifest())
    return json.dumps({**said, "annotations": {"number": str(number)}}).encode()


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder
