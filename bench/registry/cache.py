"""First pulls through the cache, all at once: however many clients ask, the upstream is asked once for each thing.

The upstream is a small registry in this process that counts what is fetched from it, and takes its time about it.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench.registry import images
from bench.registry.clients import in_threads
from bench.registry.images import ACCEPT, Image
from bench.registry.layers import MANIFEST, Layer, digest_of
from bench.registry.outcome import Outcome, milliseconds, percentile
from bench.registry.parts import contest_up, measure
from bench.registry.servers import Ground
from bench.registry.sizes import Sizes
from bench.registry.wire import BadAnswer, Connection
from bench.table import print_table
from kit.aws.http import HttpRequest
from kit.aws.sigv4 import sign
from orchestrator.app import create_gateway
from orchestrator.identity import ensure_root_key

PREFIX, UPSTREAM = "cached", "library/tool"
REPOSITORY = f"{PREFIX}/{UPSTREAM}"
TARGET = "AmazonEC2ContainerRegistry_V20150921"
# Of every answer with a body, so that all clients are there before the first fetch has ended.
DELAY = 0.5


def run(sizes: Sizes) -> None:
    """Print the table."""
    layer = Layer(size=10 * sizes.unit, number=0)
    image = Image(repository=REPOSITORY, layer=layer)
    with contest_up(with_peer=False) as contest, upstream_up(image) as (port, fetched):
        create_rule(contest.ground, f"http://127.0.0.1:{port}")
        server = contest.berth
        done = measure(server, pull_all, server.port, server.headers, image, sizes.pullers)
        outcome = done.outcome
        with Connection(server.port, server.headers) as connection:
            images.check_pull(connection, image)
        for error in sorted(set(outcome.errors))[:3]:
            print(f"bench.registry cache: {error}")
        rows = [
            (
                server.name,
                str(len(outcome.seconds)),
                str(len(outcome.errors)),
                f"{outcome.wall:.2f} s",
                milliseconds(percentile(outcome.seconds, 99)) if outcome.seconds else "",
                *(str(fetched[kind]) for kind in ("manifest", "config", "layer")),
                f"{done.cpu:.2f} s",
            )
        ]
    columns = ("", "done", "failed", "wall", "p99", "manifests fetched", "configs", "layers", "server CPU")
    print_table(
        f"{sizes.pullers} first pulls at once of an image of {layer.size / 1e6:g} MB; the aim: 1 each", columns, rows
    )


@contextmanager
def upstream_up(image: Image) -> Iterator[tuple[int, Counter[str]]]:
    """Its port, and how often each thing was fetched from it so far."""
    layer = image.layer
    manifest, config = layer.manifest(), layer.config()
    things = {
        f"/v2/{UPSTREAM}/manifests/{image.tag}": ("manifest", manifest),
        f"/v2/{UPSTREAM}/manifests/{digest_of(manifest)}": ("manifest", manifest),
        f"/v2/{UPSTREAM}/blobs/{digest_of(config)}": ("config", config),
        f"/v2/{UPSTREAM}/blobs/{layer.digest}": ("layer", b"".join(layer.pieces())),
        "/v2/": ("probe", b"{}"),
    }
    fetched: Counter[str] = Counter()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kind, body = things.get(self.path.partition("?")[0], ("", b""))
            if not kind:
                self.send_error(404)
                return
            if self.command == "GET":
                with lock:
                    fetched[kind] += 1
                time.sleep(DELAY)
            self.send_response(200)
            self.send_header("Content-Type", MANIFEST if kind == "manifest" else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Content-Digest", digest_of(body))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], fetched
        finally:
            server.shutdown()
            thread.join()


def create_rule(ground: Ground, url: str) -> None:
    """One signed CreatePullThroughCacheRule, without a socket."""
    parts = ground.parts
    key_id, secret = ensure_root_key(parts.store, parts.settings, parts.secrets, parts.clock)
    body = json.dumps({"ecrRepositoryPrefix": PREFIX, "upstreamRegistryUrl": url}).encode()
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"{TARGET}.CreatePullThroughCacheRule",
    }
    headers |= sign(
        method="POST",
        url=f"{parts.settings.api_endpoint}/",
        headers=headers,
        body=body,
        access_key=key_id,
        secret_key=secret,
        service="ecr",
        region=parts.settings.region,
        at=parts.clock.now(),
    )
    host = parts.settings.api_endpoint.partition("://")[2]
    sent = [("host", host), *((name, value) for name, value in headers.items() if name.lower() != "host")]
    answer = create_gateway(parts).handle(HttpRequest(method="POST", path="/", headers=sent, body=body))
    if answer.status != 200:
        raise BadAnswer(f"CreatePullThroughCacheRule: {answer.status} {answer.body[:300]!r}")


def pull_all(port: int, headers: str, image: Image, many: int) -> Outcome:
    """Each client pulls the manifest, the configuration and the layer, all at the same time."""
    together = threading.Barrier(many)
    took: list[float] = []
    errors: list[str] = []

    def work(number: int) -> None:
        try:
            with Connection(port, headers) as connection:
                together.wait(60)
                began = time.perf_counter()
                base, layer = f"/v2/{image.repository}", image.layer
                connection.call("GET", f"{base}/manifests/{image.tag}", expect=200, headers=ACCEPT)
                connection.call("GET", f"{base}/blobs/{digest_of(layer.config())}", expect=200)
                got = connection.call("GET", f"{base}/blobs/{layer.digest}", expect=200, keep=False)
                if got.length != layer.size:
                    raise BadAnswer(f"a layer of {got.length} bytes")
                took.append(time.perf_counter() - began)
        except (OSError, BadAnswer, threading.BrokenBarrierError) as error:
            errors.append(f"{type(error).__name__}: {error}")

    began = time.perf_counter()
    in_threads(work, many)
    moved = len(took) * image.layer.size
    return Outcome(seconds=took, wall=time.perf_counter() - began, moved=moved, errors=errors)
