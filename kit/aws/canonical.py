"""The canonical form of a request in Signature Version 4: what both sides hash, however it travelled.

Source: "Create a signed AWS API request" in the IAM user guide, and the AWS Signature Version 4 test suite.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

_BLANKS = re.compile(r"\s+", re.ASCII)


def canonical_path(path: str, *, service: str) -> str:
    """The path, dot segments removed and percent-encoded once more; S3 alone takes it as it is."""
    if service == "s3":
        return quote(unquote_to_bytes(path), safe="/~") or "/"
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment and segment != ".":
            kept.append(segment)
    tail = "/" if path.endswith("/") and kept else ""
    return quote("/" + "/".join(kept) + tail, safe="/~")


def canonical_query(query: str, *, leave_out: str | None = None) -> str:
    """The parameters, decoded and encoded in AWS's one way, sorted by name and then by value."""
    pairs = []
    for part in query.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        if name != leave_out:
            pairs.append((_encode(name), _encode(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encode(text: str) -> str:
    # A plus in a query is a space to whoever decodes it, so it must be one under the signature too.
    text = text.replace("+", "%20")
    return quote(unquote_to_bytes(text), safe="~") if "%" in text else quote(text, safe="~")


def canonical_headers(headers: Iterable[tuple[str, Sequence[str]]]) -> str:
    """One line a header, values trimmed, runs of blanks as one, duplicates joined by commas."""
    return "".join(
        f"{name}:{','.join(_BLANKS.sub(' ', value).strip(' ') for value in values)}\n" for name, values in headers
    )


def canonical_request(
    *, method: str, path: str, query: str, headers: str, signed_headers: str, payload_hash: str
) -> str:
    """The six parts, one beneath the other; ``path``, ``query`` and ``headers`` are canonical already."""
    return "\n".join((method, path, query, headers, signed_headers, payload_hash))


def signature(*, secret: str, scope: str, stamp: str, request: str) -> str:
    """The hexadecimal signature of a canonical request; ``scope`` is ``date/region/service/aws4_request``."""
    date, region, service, _ = scope.split("/")
    hashed = hashlib.sha256(request.encode("utf-8", "surrogateescape")).hexdigest()
    text = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashed}"
    return hmac.new(_signing_key(secret, date, region, service), text.encode(), hashlib.sha256).hexdigest()


@lru_cache(maxsize=1024)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
    return key
