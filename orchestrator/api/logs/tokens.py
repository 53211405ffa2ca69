"""Page tokens of the Logs API: the place a listing stopped at, bound to what was asked for.

A token of another request, or one that was tampered with, is refused rather than followed to a wrong place.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence

from kit.aws.errors import InvalidParameterException

Part = str | int


def write_token(asked: object, place: Sequence[Part]) -> str:
    """An opaque token for ``place``, valid only for a request that asks the same."""
    text = json.dumps([_print_of(asked), *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_token(token: str | None, asked: object, *, kinds: Sequence[type]) -> tuple[Part, ...] | None:
    """The place in ``token``, whose parts must be of ``kinds``; None without a token."""
    if token is None:
        return None
    try:
        fingerprint, *place = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise InvalidParameterException("The specified nextToken is invalid.") from None
    if fingerprint != _print_of(asked) or [type(part) for part in place] != list(kinds):
        raise InvalidParameterException("The specified nextToken is invalid.")
    if any(isinstance(part, int) and not 0 <= part < 2**63 for part in place):
        raise InvalidParameterException("The specified nextToken is invalid.")
    return tuple(place)


def _print_of(asked: object) -> str:
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
