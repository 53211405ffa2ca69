"""Pages and their opaque tokens.

A token carries where to go on, sealed to the operation and filters it was made for, so that one that was cut, altered
or moved to another question is refused. It is no secret and grants nothing: whoever decodes one treats what comes out
as a position within what the caller may see anyway.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kit.aws.errors import AwsError, InvalidParameterException

T = TypeVar("T")

_SEAL_BYTES = 12
_LONGEST = 4096


def scope_of(operation: str, **filters: Any) -> str:
    """The scope of a token: an operation's name and the filters that the pages are of."""
    return json.dumps([operation, filters], sort_keys=True, separators=(",", ":"), default=str)


def encode_token(value: Any, *, scope: str) -> str:
    """An opaque token for a JSON-able position; letters, digits, ``-`` and ``_`` only."""
    payload = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_seal(payload, scope) + payload).decode("ascii").rstrip("=")


def decode_token(token: str, *, scope: str, error: Callable[[str], AwsError] = InvalidParameterException) -> Any:
    """The position in a token made by ``encode_token`` for the same scope; else raises ``error`` of a message."""
    try:
        if len(token) > _LONGEST:
            raise ValueError
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        seal, payload = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, _seal(payload, scope)):
            raise ValueError
        return json.loads(payload)
    except (ValueError, binascii.Error):
        raise error("The specified nextToken is not valid for this request.") from None


def page(
    items: Sequence[T],
    *,
    key: Callable[[T], Any],
    limit: int,
    token: str | None,
    scope: str,
    error: Callable[[str], AwsError] = InvalidParameterException,
) -> tuple[list[T], str | None]:
    """One page of ``items``, which are sorted by ``key`` (JSON-able, unique), and the token of the next page, if any.

    The token holds the last key given out, so pages neither repeat nor skip what stays while other items come and go.
    """
    rest = list(items)
    if token:
        after = decode_token(token, scope=scope, error=error)
        first = key(rest[0]) if rest else after
        if type(first) not in (type(after), tuple):
            raise error("The specified nextToken is not valid for this request.")
        if isinstance(first, tuple):
            after = tuple(after) if isinstance(after, list) else (after,)
        rest = [item for item in rest if key(item) > after]
    given = rest[:limit]
    more = encode_token(key(given[-1]), scope=scope) if len(rest) > limit and given else None
    return given, more


def _seal(payload: bytes, scope: str) -> bytes:
    return hashlib.sha256(scope.encode() + b"\0" + payload).digest()[:_SEAL_BYTES]
