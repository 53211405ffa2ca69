"""Pages of a long list: 1,000 tags out of 100,000, from the beginning, the middle and the end.

The peer of this version knows no pages of tags: it reads every tag's folder and sends all of them each time.
"""

from collections.abc import Sequence

from bench.registry import images
from bench.registry.clients import get_again
from bench.registry.filling import add_peer_tags, add_tags
from bench.registry.images import Image
from bench.registry.layers import Layer, digest_of
from bench.registry.parts import TIMES, Contest, contest_up, measure, ratio, times
from bench.registry.servers import Server
from bench.registry.sizes import Sizes
from bench.registry.wire import BadAnswer, Connection
from bench.table import print_table

REPOSITORY = "bench/tags"
PAGE = 1000
AIM = "p99 ≤ 10 ms"


def run(sizes: Sizes) -> None:
    """Print the table."""
    with contest_up([REPOSITORY]) as contest:
        fill(contest, sizes)
        rows: list[Sequence[str]] = []
        peer = None
        for number, server in enumerate(reversed(contest.servers)):
            last = sizes.tags
            pages = [
                f"/v2/{REPOSITORY}/tags/list?n={PAGE}",
                *(f"/v2/{REPOSITORY}/tags/list?n={PAGE}&last=v{at:07d}" for at in (last // 2, last - PAGE)),
            ]
            done = measure(server, get_again, server.port, server.headers, pages, 1, sizes.seconds)
            per_answer = sum(done.outcome.seconds) / len(done.outcome.seconds)
            own = server is contest.berth
            what = f"{PAGE:,} tags of {sizes.tags:,}" if own else "all of them"
            cost = f"{done.per_request * 1e6:,.0f} µs"
            rows.append((what, server.name, *times(done), cost, ratio(per_answer, peer), AIM if own else ""))
            peer = per_answer if number == 0 else peer
    columns = ("", "", *TIMES, "server CPU each", "of the peer's time", "aim")
    print_table("tags/list, one client", columns, rows[::-1])


def fill(contest: Contest, sizes: Sizes) -> None:
    """Push one image to each, and give it all the tags."""
    image = Image(repository=REPOSITORY, layer=Layer(size=1000, number=0))
    for server in contest.servers:
        with Connection(server.port, server.headers) as connection:
            images.push_monolith(connection, image)
    add_tags(contest.ground.store, REPOSITORY, sizes.tags)
    if contest.peer is not None:
        add_peer_tags(contest.peer.blobs, REPOSITORY, digest_of(image.layer.manifest()), sizes.tags)
    for server in contest.servers:
        check(server, sizes)


def check(server: Server, sizes: Sizes) -> None:
    """That a page is one: raises BadAnswer."""
    with Connection(server.port, server.headers) as connection:
        found = connection.call("GET", f"/v2/{REPOSITORY}/tags/list?n={PAGE}", expect=200).body.count(b'"v')
    wanted = (min(PAGE, sizes.tags), min(PAGE, sizes.tags + 1) - 1, sizes.tags)
    if found not in wanted:
        raise BadAnswer(f"{server.name} lists {found} tags")
