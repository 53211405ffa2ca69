"""Layers of any size that cost no time to make: a block of noise again and again, and a number that makes it unique.

The hash of the blocks is computed once for each size; a layer's own ends it with sixteen bytes.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

MB = 1_000_000
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
# What Go's clients send as one chunk of a streamed body.
_CHUNK = 32 * 1024
_TAIL = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One blob of ``size`` bytes; another ``number`` is another blob."""

    size: int
    number: int

    @property
    def digest(self) -> str:
        hasher = _hash_of_blocks(self.size).copy()
        hasher.update(self._tail)
        return f"sha256:{hasher.hexdigest()}"

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Its bytes."""
        whole, rest = divmod(self.size - _TAIL, MB)
        for _ in range(whole):
            yield _block()
        yield memoryview(_block())[:rest]
        yield self._tail

    def chunks(self) -> Iterator[bytes]:
        """Its bytes as a body of HTTP chunks."""
        whole, rest = divmod(self.size - _TAIL, MB)
        for _ in range(whole):
            yield _framed(MB)
        yield _framed(rest)
        yield b"%x\r\n%b\r\n0\r\n\r\n" % (_TAIL, self._tail)

    def part(self, first: int, length: int) -> bytes:
        """``length`` bytes from ``first`` on."""
        return b"".join(self.pieces())[first : first + length]

    @property
    def _tail(self) -> bytes:
        return b"%016d" % self.number

    def config(self) -> bytes:
        """A configuration for an image of this layer."""
        said = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [self.digest]},
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/true"], "Labels": {"number": str(self.number)}},
        }
        return json.dumps(said).encode()

    def manifest(self) -> bytes:
        """The manifest of an image of this layer."""
        config = self.config()
        said = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest_of(config),
                "size": len(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": self.digest,
                    "size": self.size,
                }
            ],
        }
        return json.dumps(said).encode()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@cache
def _block() -> bytes:
    return random.Random(7).randbytes(MB)


@cache
def _framed(length: int) -> bytes:
    block = memoryview(_block())[:length]
    pieces = (block[start : start + _CHUNK] for start in range(0, length, _CHUNK))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), bytes(piece)) for piece in pieces)


@cache
def _hash_of_blocks(size: int) -> "hashlib._Hash":
    if size < _TAIL:
        raise ValueError(f"a layer has {_TAIL} bytes at least")
    whole, rest = divmod(size - _TAIL, MB)
    hasher = hashlib.sha256()
    for _ in range(whole):
        hasher.update(_block())
    hasher.update(memoryview(_block())[:rest])
    return hasher
