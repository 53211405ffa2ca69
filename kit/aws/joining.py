"""Joining: how an agent gets an access key of its own, whose secret never travels.

The agent signs ``POST /join`` with the key it was given and a nonce of its own; the control plane answers with a new
key's id. Both derive the new secret from the given key's.
"""

import hashlib
import hmac
import json
from base64 import b64encode
from typing import Any

JOIN_PATH = "/join"
JOIN_ACTION = "berth:Join"
SHORTEST_NONCE, LONGEST_NONCE = 16, 64


def derive_secret(given_secret: str, *, nonce: str, key_id: str) -> str:
    """The secret, of 40 characters, of key ``key_id`` for who joined as ``nonce`` with the key of ``given_secret``."""
    text = f"berth host key\n{nonce}\n{key_id}".encode()
    return b64encode(hmac.digest(given_secret.encode(), text, hashlib.sha256)[:30]).decode()


def write_token(key_id: str, secret: str) -> str:
    """A join token as it is handed to a person: one word."""
    return f"{key_id}:{secret}"


def read_token(token: str) -> tuple[str, str]:
    """The key's id and secret. Raises ValueError."""
    key_id, colon, secret = token.strip().partition(":")
    if not (colon and key_id.isascii() and key_id.isalnum() and secret):
        raise ValueError("a join token is KEY:SECRET, as 'berth agent token' prints it")
    return key_id, secret


def read_nonce(body: bytes) -> str:
    """The nonce in a request's body. Raises ValueError."""
    try:
        asked: Any = json.loads(body)
        nonce = asked["nonce"]
    except (TypeError, LookupError, RecursionError) as error:
        raise ValueError("expected an object with a nonce") from error
    if not (isinstance(nonce, str) and nonce.isascii() and nonce.isalnum()):
        raise ValueError("nonce: expected letters and digits")
    if not SHORTEST_NONCE <= len(nonce) <= LONGEST_NONCE:
        raise ValueError(f"nonce: expected {SHORTEST_NONCE} to {LONGEST_NONCE} characters")
    return nonce
