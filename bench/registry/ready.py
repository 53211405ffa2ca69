"""How soon a registry answers after its process was started, with a large catalogue of blobs in its store."""

from bench.registry import images
from bench.registry.filling import add_blobs
from bench.registry.images import Image
from bench.registry.layers import Layer
from bench.registry.outcome import mebibytes, milliseconds
from bench.registry.parts import has_peer, scratch
from bench.registry.servers import BERTH, PEER, Ground, berth_up, ground_made, peer_up
from bench.registry.sizes import Sizes
from bench.registry.wire import Connection
from bench.table import print_table

REPOSITORY = "bench/ready"
TIMES = 3
AIM = "≤ 2 s"


def run(sizes: Sizes) -> None:
    """Print the table."""
    with scratch() as folder:
        with ground_made(folder / "berth") as ground:
            ground.make_repositories([REPOSITORY])
            empty = min(start(ground)[0] for _ in range(TIMES))
            add_blobs(ground.store, REPOSITORY, sizes.blobs)
            full = [start(ground) for _ in range(TIMES)]
        size = sum(path.stat().st_size for path in (folder / "berth").glob("berth.db*"))
        rows = [
            ("no blob", BERTH, milliseconds(empty), "", "", ""),
            (
                f"{sizes.blobs:,} blobs",
                BERTH,
                milliseconds(min(taken for taken, _ in full)),
                mebibytes(max(resident for _, resident in full)),
                mebibytes(size),
                AIM,
            ),
        ]
        if has_peer():
            taken = []
            for _ in range(TIMES):
                with peer_up(folder) as peer:
                    taken.append(peer.ready_after)
            rows.append(("no catalogue at all", PEER, milliseconds(min(taken)), "", "", ""))
    columns = ("", "", "until it answers", "resident", "store on disk", "aim")
    print_table(f"From exec to the first answer, the best of {TIMES}", columns, rows)


def start(ground: Ground) -> tuple[float, int]:
    """Start one, push an image, end it: seconds until it answered, and the bytes of memory it took by then."""
    with berth_up(ground) as server:
        resident = server.resident
        with Connection(server.port, server.headers) as connection:
            images.push_monolith(connection, Image(repository=REPOSITORY, layer=Layer(size=1000, number=0)))
        return server.ready_after, resident
