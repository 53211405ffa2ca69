"""A registry in a thread that can fall ill: it serves small images over HTTP, counts what is asked, and fails as told.

An image is one layer of a busybox or of a single file; two of the same ``content`` share every digest. A test names
what goes wrong: answers of a status for so many requests, bytes of a layer turned over, a manifest of other content.
"""

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kit.clock import monotonic
from tests.support.images import busybox_tree

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(slots=True)
class Answer:
    """What is said instead of the truth."""

    status: int
    body: bytes


@dataclass(slots=True)
class Sickness:
    """``answers`` go out first, for any request of the kind; ``gate`` holds back layers until it is set."""

    answers: dict[str, deque[Answer]] = field(default_factory=dict)
    corrupt: set[str] = field(default_factory=set)
    lying: dict[str, str] = field(default_factory=dict)
    gate: threading.Event = field(default_factory=threading.Event)


class SickRegistry:
    """Listens on every address of this machine, at ``port``; close it when done."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.asked: Counter[str] = Counter()
        self.ill = Sickness()
        self.ill.gate.set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("0.0.0.0", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def push(self, repository: str, tag: str, content: str, *, runnable: bool = False) -> str:
        """Have an image there; the answer is its digest."""
        layer = busybox_tree() if runnable else _one_file(content)
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin", f"CONTENT={content}"], "Cmd": ["sleep", "600"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, **self._keep(json.dumps(config).encode())},
            "layers": [{"mediaType": LAYER, **self._keep(gzip.compress(layer, mtime=0))}],
        }
        text = json.dumps(manifest).encode()
        digest = _digest(text)
        self.manifests[repository, tag] = self.manifests[repository, digest] = text
        return digest

    def layer_of(self, repository: str, reference: str) -> str:
        """The digest of an image's one layer."""
        return str(json.loads(self.manifests[repository, reference])["layers"][0]["digest"])

    def say(self, kind: str, status: int, code: str, message: str, *, times: int = 1) -> None:
        """The next requests of a kind (``manifest`` or ``blob``) get an error of the distribution API."""
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.ill.answers.setdefault(kind, deque()).extend(Answer(status, body) for _ in range(times))

    def count(self, kind: str) -> None:
        with self._lock:
            self.asked[kind] += 1

    def await_asked(self, kind: str, number: int) -> None:
        """Wait until so many requests of a kind have come."""
        give_up_at = monotonic() + 20
        while self.asked[kind] < number:
            assert monotonic() < give_up_at, f"only {self.asked[kind]} of {kind}"
            threading.Event().wait(0.02)

    def close(self) -> None:
        self.ill.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _keep(self, content: bytes) -> dict[str, object]:
        self.blobs[_digest(content)] = content
        return {"digest": _digest(content), "size": len(content)}


def _handler(registry: SickRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._serve(with_body=False)

        def do_GET(self) -> None:
            self._serve(with_body=True)

        def log_message(self, *_: object) -> None:
            pass

        def _serve(self, *, with_body: bool) -> None:
            words = self.path.split("?")[0].strip("/").split("/")
            if words == ["v2"]:
                self._send(200, b"{}", "application/json", {}, with_body)
                return
            repository, kind, reference = "/".join(words[1:-2]), words[-2].rstrip("s"), words[-1]
            if with_body or kind == "manifest":
                registry.count(kind if kind == "manifest" else reference)
            answers = registry.ill.answers.get(kind)
            if answers:
                answer = answers.popleft()
                self._send(answer.status, answer.body, "application/json", {}, with_body)
            elif kind == "manifest":
                self._manifest(repository, reference, with_body)
            else:
                self._blob(reference, with_body)

        def _manifest(self, repository: str, reference: str, with_body: bool) -> None:
            named = registry.ill.lying.get(reference, reference)
            text = registry.manifests.get((repository, named))
            if text is None:
                error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
                self._send(404, json.dumps(error).encode(), "application/json", {}, with_body)
                return
            self._send(200, text, MANIFEST, {"Docker-Content-Digest": _digest(text)}, with_body)

        def _blob(self, digest: str, with_body: bool) -> None:
            content = registry.blobs[digest]
            if digest in registry.ill.corrupt:
                content = content[:-10] + bytes(byte ^ 0xFF for byte in content[-10:])
            if b"CONTENT" not in content:
                registry.ill.gate.wait(60)
            self._send(200, content, "application/octet-stream", {"Docker-Content-Digest": digest}, with_body)

        def _send(self, status: int, body: bytes, kind: str, more: dict[str, str], with_body: bool) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
                for name, value in more.items():
                    self.send_header(name, value)
                self.end_headers()
                if with_body:
                    self.wfile.write(body)
            except OSError:
                self.close_connection = True

    return Handler


def _one_file(content: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content.encode()))
    return packed.getvalue()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
