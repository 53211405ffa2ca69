"""Access: who may talk to the registry. A token from the ECR API is the password of the user ``AWS``.

A token says whose access key it was made with and when it ends, sealed with the installation's master key.
Nothing about it is stored; it ends with its twelve hours, with its access key, or with the master key.
"""

import base64
import binascii
import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Protocol

from kit.clock import Clock
from kit.secrets import SecretBox, Undecipherable
from registry.errors import Unauthorized
from state.access_keys import get_access_key
from state.store import Store

USER = "AWS"
TOKEN_LASTS = timedelta(hours=12)
DOWNLOAD_LASTS = timedelta(hours=1)
_PURPOSE = "berth-registry"
# How long a token is still good after its access key was taken away, and when the key is looked at again.
FRESH = timedelta(seconds=3)
RENEWED_AFTER = timedelta(seconds=2)
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Who asks, and what the identity itself may: ``actions`` are globs such as ``ecr:*``."""

    principal_arn: str
    actions: tuple[str, ...]
    # A grant of a download link is good for reading this one path alone.
    only_path: str | None = None


class Authenticate(Protocol):
    """Turns an Authorization header into a grant."""

    def __call__(self, authorization: str | None, /) -> Grant:
        """Whose it is; raises Unauthorized. May block."""
        ...

    def remembered(self, authorization: str, /) -> Grant | None:
        """What the call would answer, where that is known without blocking."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What a token says."""

    access_key_id: str
    principal_arn: str
    expires_at: datetime
    only_path: str | None


def issue_token(
    secrets: SecretBox, *, access_key_id: str, principal_arn: str, now: datetime, only_path: str | None = None
) -> tuple[str, datetime]:
    """A password for the user ``AWS``, and when it ends; with ``only_path`` one that reads that path alone."""
    # Whole seconds: that is how AWS tells the end.
    expires_at = (now + (TOKEN_LASTS if only_path is None else DOWNLOAD_LASTS)).replace(microsecond=0)
    text = json.dumps(
        {
            "for": _PURPOSE,
            "key": access_key_id,
            "who": principal_arn,
            "until": int(expires_at.timestamp()),
            "path": only_path,
        }
    )
    return secrets.encrypt(text), expires_at


class EcrTokens:
    """Verifies tokens: calling it is an ``Authenticate``."""

    def __init__(self, store: Store, secrets: SecretBox, *, clock: Clock) -> None:
        self._store = store
        self._secrets = secrets
        self._clock = clock
        # Opening a token costs more than finding its key, and a push brings the same one many times.
        self._opened: OrderedDict[str, Sealed] = OrderedDict()
        self._grants: OrderedDict[str, _Verified] = OrderedDict()
        self._lock = Lock()

    def remembered(self, authorization: str) -> Grant | None:
        """The grant of a header that was verified in the last three seconds.

        After two of them one caller is told nothing, so that it has the header verified again while others go on.
        """
        known = self._grants.get(authorization)
        if known is None:
            return None
        now = self._clock.now()
        if not known.at <= now < known.until:
            return None
        if now >= known.at + RENEWED_AFTER and not known.is_renewed:
            known.is_renewed = True
            return None
        return known.grant

    def __call__(self, authorization: str | None) -> Grant:
        """The grant of a Basic Authorization header; raises Unauthorized."""
        known = self._grants.get(authorization) if authorization is not None else None
        if known is not None and known.at <= self._clock.now() < min(known.until, known.at + RENEWED_AFTER):
            return known.grant
        return self._verify(authorization)

    def _verify(self, authorization: str | None) -> Grant:
        sealed = self._open(_password(authorization))
        now = self._clock.now()
        if sealed.expires_at <= now:
            raise Unauthorized("Your authorization token has expired. Reauthenticate and try again.")
        key = self._store.read(lambda session: get_access_key(session, sealed.access_key_id))
        if key is None or (key.expires_at is not None and key.expires_at <= now):
            raise Unauthorized("The access key that this authorization token was made with is no longer valid.")
        grant = Grant(principal_arn=key.principal_arn, actions=tuple(key.actions), only_path=sealed.only_path)
        until = min(now + FRESH, sealed.expires_at, key.expires_at or sealed.expires_at)
        with self._lock:
            self._grants[authorization or ""] = _Verified(grant, now, until)
            self._grants.move_to_end(authorization or "")
            while len(self._grants) > _REMEMBERED:
                self._grants.popitem(last=False)
        return grant

    def _open(self, password: str) -> Sealed:
        with self._lock:
            known = self._opened.get(password)
        if known is not None:
            return known
        try:
            said = json.loads(self._secrets.decrypt(password))
            if said["for"] != _PURPOSE:
                raise ValueError("a secret of another purpose")
            sealed = Sealed(
                access_key_id=said["key"],
                principal_arn=said["who"],
                expires_at=datetime.fromtimestamp(said["until"], UTC),
                only_path=said["path"],
            )
        except (Undecipherable, ValueError, KeyError, TypeError):
            raise Unauthorized("The authorization token is not valid.") from None
        with self._lock:
            self._opened[password] = sealed
            while len(self._opened) > _REMEMBERED:
                self._opened.popitem(last=False)
        return sealed


@dataclass(slots=True)
class _Verified:
    """A header that was good ``at`` an instant, and is ``until`` another."""

    grant: Grant
    at: datetime
    until: datetime
    is_renewed: bool = False


def _password(authorization: str | None) -> str:
    scheme, _, rest = (authorization or "").strip().partition(" ")
    if scheme.lower() != "basic":
        raise Unauthorized
    try:
        user, colon, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Unauthorized("The Authorization header could not be read.") from None
    if user != USER or not colon:
        raise Unauthorized(f"The user name must be {USER}, with a token from GetAuthorizationToken as password.")
    return password
