"""Images pushed and pulled as clients do it; jobs for ``side_by_side``. Each tells how many bytes of layers it moved.

Source of what one request is: zot's ``zb``, whose pushes are a layer, its configuration and a manifest.
"""

import hashlib
from dataclasses import dataclass

from bench.registry.layers import MANIFEST, Layer, digest_of
from bench.registry.wire import BadAnswer, Connection

_BINARY = "Content-Type: application/octet-stream\r\n"
ACCEPT = f"Accept: {MANIFEST}\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image of one layer in a repository, under the layer's number as tag."""

    repository: str
    layer: Layer

    @property
    def tag(self) -> str:
        return f"{self.layer.size}-{self.layer.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Bytes of an image's layer."""

    image: Image
    first: int
    length: int


def push_monolith(connection: Connection, image: Image) -> int:
    """The layer in one PUT after its POST."""
    layer = image.layer
    where = _begin(connection, image.repository)
    connection.call(
        "PUT",
        f"{where}digest={layer.digest}",
        expect=201,
        headers=f"{_BINARY}Content-Length: {layer.size}\r\n",
        body=layer.pieces(),
    )
    _finish(connection, image)
    return layer.size


def push_streamed(connection: Connection, image: Image) -> int:
    """The layer in one PATCH of HTTP chunks, and a PUT that ends it."""
    layer = image.layer
    where = _begin(connection, image.repository)
    answer = connection.call(
        "PATCH",
        where.rstrip("?&"),
        expect=202,
        headers=f"{_BINARY}Transfer-Encoding: chunked\r\n",
        body=layer.chunks(),
    )
    connection.call("PUT", f"{_path(answer.headers['location'])}digest={layer.digest}", expect=201)
    _finish(connection, image)
    return layer.size


def pull(connection: Connection, image: Image) -> int:
    """The manifest, and the layer it names."""
    connection.call("GET", f"/v2/{image.repository}/manifests/{image.tag}", expect=200, headers=ACCEPT)
    path = f"/v2/{image.repository}/blobs/{image.layer.digest}"
    return _whole(connection.call("GET", path, expect=200, keep=False).length, image.layer.size)


def pull_part(connection: Connection, part: Part) -> int:
    """A range of the layer."""
    path = f"/v2/{part.image.repository}/blobs/{part.image.layer.digest}"
    wanted = f"Range: bytes={part.first}-{part.first + part.length - 1}\r\n"
    return _whole(connection.call("GET", path, expect=206, headers=wanted, keep=False).length, part.length)


def check_pull(connection: Connection, image: Image) -> int:
    """Pull and compare every byte, whole and in part: what is measured afterwards is known to be right."""
    layer, path = image.layer, f"/v2/{image.repository}/blobs/{image.layer.digest}"
    found = connection.call("GET", path, expect=200).body
    if f"sha256:{hashlib.sha256(found).hexdigest()}" != layer.digest:
        raise BadAnswer(f"{path}: other bytes than were pushed")
    first, length = layer.size // 3, min(layer.size // 3, 5000)
    wanted = f"Range: bytes={first}-{first + length - 1}\r\n"
    if connection.call("GET", path, expect=206, headers=wanted).body != found[first : first + length]:
        raise BadAnswer(f"{path}: a range has other bytes than were pushed")
    manifest = f"/v2/{image.repository}/manifests/{image.tag}"
    said = connection.call("GET", manifest, expect=200, headers=ACCEPT)
    if said.body != layer.manifest():
        raise BadAnswer(f"{path}: another manifest than was pushed")
    return layer.size


def _begin(connection: Connection, repository: str) -> str:
    answer = connection.call("POST", f"/v2/{repository}/blobs/uploads/", expect=202)
    return _path(answer.headers["location"])


def _path(location: str) -> str:
    """A session's path, so that a parameter can be put behind it."""
    path = location if location.startswith("/") else "/" + location.split("/", 3)[3]
    return path + ("&" if "?" in path else "?")


def _finish(connection: Connection, image: Image) -> None:
    layer = image.layer
    config, manifest = layer.config(), layer.manifest()
    where = _begin(connection, image.repository)
    connection.call("PUT", f"{where}digest={digest_of(config)}", expect=201, headers=_BINARY, body=config)
    connection.call(
        "PUT",
        f"/v2/{image.repository}/manifests/{image.tag}",
        expect=201,
        headers=f"Content-Type: {MANIFEST}\r\n",
        body=manifest,
    )


def _whole(length: int, wanted: int) -> int:
    if length != wanted:
        raise BadAnswer(f"{length} bytes instead of {wanted}")
    return length
