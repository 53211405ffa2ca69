"""An upstream on a real socket that counts what is fetched from it, and fails or lies when told to."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.registry import OCI_INDEX, descriptor, image_of, sha256
from tests.support.serving import serving


class _Server(ThreadingHTTPServer):
    # A hundred clients of one moment.
    request_queue_size = 256
    daemon_threads = True


class Upstream:
    """Repositories in memory. ``fetched`` counts answered GETs by the last part of their paths."""

    def __init__(self) -> None:
        self.fetched: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.things: dict[str, tuple[str, bytes]] = {}
        # Answers with this status instead, by the last part of the path, or ``*`` for all.
        self.failing: dict[str, int] = {}
        # GETs of these wait until the event is set.
        self.gates: dict[str, threading.Event] = {}
        # GETs of these wait in the middle of the body.
        self.halfway: dict[str, threading.Event] = {}
        # GETs of these end after so many bytes of what was asked for, one number a time.
        self.breaking: dict[str, list[int]] = {}
        # How Range headers are answered: ``honest``, ``ignored``, or with ``other`` bytes than those asked for.
        self.ranges = "honest"
        # The Range headers that came.
        self.ranged: list[str] = []
        self.authorization: str | None = None
        self.address = ""
        self.lock = threading.Lock()

    def add_image(self, repository: str, tag: str | None, *layers: bytes, config: bytes = b"{}") -> str:
        """An image of these layers, under its digest and the tag; the digest."""
        for data in (config, *layers):
            self.things[f"/v2/{repository}/blobs/{sha256(data)}"] = ("application/octet-stream", data)
        return self.add_manifest(repository, tag, image_of(*layers, config=config))

    def add_index(self, repository: str, tag: str | None, *digests: str) -> str:
        """A list of images."""
        children = [{**descriptor(b"", image_of()["mediaType"]), "digest": each, "size": 1} for each in digests]
        return self.add_manifest(repository, tag, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children})

    def add_manifest(self, repository: str, tag: str | None, manifest: dict[str, Any]) -> str:
        body = json.dumps(manifest).encode()
        for reference in (sha256(body), *([tag] if tag is not None else [])):
            self.things[f"/v2/{repository}/manifests/{reference}"] = (manifest["mediaType"], body)
        return sha256(body)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        last = path.rpartition("/")[2]
        with self.lock:
            self.asked[f"{handler.command} {last}"] += 1
        if self.authorization is not None and handler.headers.get("Authorization") != self.authorization:
            self._send(handler, 401, "text/plain", b"", {"WWW-Authenticate": 'Basic realm="upstream"'})
            return
        gate = self.gates.get(last)
        if gate is not None and handler.command == "GET":
            gate.wait(60)
        failing = self.failing.get(last) or self.failing.get("*")
        if failing is not None:
            self._send(handler, failing, "text/plain", b"", {})
        elif path == "/v2/":
            self._send(handler, 200, "application/json", b"{}", {})
        elif path not in self.things:
            self._send(handler, 404, "text/plain", b"", {})
        else:
            if handler.command == "GET":
                with self.lock:
                    self.fetched[last] += 1
            media_type, body = self.things[path]
            headers = {"Docker-Content-Digest": sha256(body)} if "/manifests/" in path else {}
            status, body, headers = self._part(handler, body, headers)
            self._send(handler, status, media_type, body, headers)

    def _part(
        self, handler: BaseHTTPRequestHandler, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes, dict[str, str]]:
        """What a Range header of the form ``bytes=N-`` asks for."""
        wanted = handler.headers.get("Range")
        if wanted is None:
            return 200, body, headers
        with self.lock:
            self.ranged.append(wanted)
        if self.ranges == "ignored":
            return 200, body, headers
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) - (1 if self.ranges == "other" else 0)
        return 206, body[first:], {**headers, "Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"}

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, kind: str, body: bytes, headers: dict[str, str]
    ) -> None:
        handler.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "GET":
            return
        last = handler.path.partition("?")[0].rpartition("/")[2]
        if breaks := self.breaking.get(last):
            handler.wfile.write(body[: breaks.pop(0)])
            handler.close_connection = True
            return
        middle = len(body) // 2
        handler.wfile.write(body[:middle])
        handler.wfile.flush()
        if last in self.halfway:
            self.halfway[last].wait(60)
        handler.wfile.write(body[middle:])


@contextmanager
def running_upstream() -> Iterator[Upstream]:
    upstream = Upstream()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            upstream.answer(self)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

        def handle(self) -> None:
            try:
                super().handle()
            except (TimeoutError, ConnectionError):
                self.close_connection = True

    with _Server(("127.0.0.1", 0), Handler) as server, serving(server):
        upstream.address = f"127.0.0.1:{server.server_address[1]}"
        yield upstream
