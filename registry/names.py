"""Names: the grammar of repositories, tags and digests, and hashing by a digest's algorithm.

Source: OCI distribution-spec, "Pulling manifests"; OCI image-spec, "Digests".
"""

import hashlib
import re
from typing import Protocol

from registry.errors import DigestInvalid, NameInvalid

_NAME = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_LONGEST_NAME = 255
ALGORITHMS = ("sha256", "sha512")


class Hasher(Protocol):
    """What hashlib makes."""

    @property
    def name(self) -> str: ...
    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


def is_name(name: str) -> bool:
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """The name itself; raises NameInvalid."""
    if not is_name(name):
        raise NameInvalid(f"invalid repository name '{name[:300]}'")
    return name


def check_digest(digest: str) -> str:
    """The digest itself; raises DigestInvalid when malformed, or of an algorithm other than sha256 and sha512."""
    if not _DIGEST.fullmatch(digest):
        raise DigestInvalid(
            f"invalid digest '{digest[:200]}': it must be sha256: or sha512: and as many lower-case hex digits"
        )
    return digest


def check_algorithm(algorithm: str) -> str:
    """The name of a digest algorithm itself; raises DigestInvalid for one that is not known here."""
    if algorithm not in ALGORITHMS:
        raise DigestInvalid(f"the digest algorithm '{algorithm[:50]}' is not one of {', '.join(ALGORITHMS)}")
    return algorithm


def is_tag(reference: str) -> bool:
    return _TAG.fullmatch(reference) is not None


def is_digest(reference: str) -> bool:
    return _DIGEST.fullmatch(reference) is not None


def algorithm_of(digest: str) -> str:
    return digest.partition(":")[0]


def new_hasher(algorithm: str) -> Hasher:
    return hashlib.new(algorithm)


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
