"""Signature Version 4: signing requests, and finding out who signed one.

``verify`` answers with the caller or raises the error AWS raises, in AWS's words. A signature is compared in
constant time, a request is good for five minutes around the server's time, a presigned one for as long as it says.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from kit.aws.access import allows
from kit.aws.canonical import (
    ALGORITHM,
    UNSIGNED_PAYLOAD,
    canonical_headers,
    canonical_path,
    canonical_query,
    canonical_request,
    signature,
)
from kit.aws.claims import Claim, read_claim
from kit.aws.errors import (
    ExpiredTokenException,
    IncompleteSignatureException,
    InvalidSignatureException,
    RequestExpired,
    UnrecognizedClientException,
)
from kit.aws.http import HttpRequest

SKEW = timedelta(minutes=5)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
# Headers that decide what a request means. Whoever sends one must have signed it.
_MUST_BE_SIGNED = ("x-amz-target", "x-amz-security-token", "x-amz-content-sha256", "x-amz-date")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: ``actions`` are globs such as ``ecs:*`` that bound what the caller may do.

    ``speaks_for`` names the one resource that the caller may act for; None: it is not bound to any.
    """

    access_key_id: str
    principal_arn: str
    account: str
    actions: tuple[str, ...] = ("*",)
    speaks_for: str | None = None

    def may(self, action: str) -> bool:
        """Whether ``action``, such as ``ecs:StopTask``, is among the caller's."""
        return allows(self.actions, action)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An access key: long-lived without a session token, temporary with one."""

    access_key_id: str
    secret: str
    session_token: str | None = None
    expires_at: datetime | None = None
    caller: Caller

    def __repr__(self) -> str:
        """Never the secret: keys end up in tracebacks and logs."""
        return f"Key({self.access_key_id})"


FindKey = Callable[[str], Key | None]


def sign(
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    access_key: str,
    secret_key: str,
    session_token: str | None = None,
    service: str,
    region: str,
    at: datetime,
) -> dict[str, str]:
    """The headers to add to a request so that it is signed; all given ``headers`` are signed and must be sent.

    ``url`` may be of any scheme: a WebSocket handshake is signed as the GET it is. The ``Host`` is taken from the
    URL unless given. The URL must be sent as it stands, percent-encoding included.
    """
    parts = urlsplit(url)
    stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"X-Amz-Date": stamp}
    if session_token:
        added["X-Amz-Security-Token"] = session_token
    payload_hash = hashlib.sha256(body).hexdigest()
    if service == "s3":
        added["X-Amz-Content-SHA256"] = payload_hash
    signed = {name.lower(): value for name, value in headers.items()}
    signed.update((name.lower(), value) for name, value in added.items())
    payload_hash = signed.get("x-amz-content-sha256", payload_hash)
    signed.pop("authorization", None)
    signed.setdefault("host", _host_of(url))
    names = sorted(signed)
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    request = canonical_request(
        method=method.upper(),
        path=canonical_path(parts.path, service=service),
        query=canonical_query(parts.query),
        headers=canonical_headers((name, [signed[name]]) for name in names),
        signed_headers=";".join(names),
        payload_hash=payload_hash,
    )
    made = signature(secret=secret_key, scope=scope, stamp=stamp, request=request)
    added["Authorization"] = (
        f"{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={';'.join(names)}, Signature={made}"
    )
    return added


def verify(
    request: HttpRequest,
    find_key: FindKey,
    at: datetime,
    *,
    service: str | None = None,
    region: str | None = None,
) -> Caller:
    """Who signed ``request``, by its Authorization header or its query; ``at`` is the server's time.

    ``service`` and ``region`` are what the credential must be scoped to, when given. Raises the AWS error that
    tells what is wrong.
    """
    claim = read_claim(request)
    _check_scope(claim, service=service, region=region)
    key = find_key(claim.access_key_id)
    if key is None or not _same(claim.token or "", key.session_token or ""):
        raise UnrecognizedClientException
    expected = signature(
        secret=key.secret,
        scope=claim.scope,
        stamp=claim.stamp,
        request=_canonical_of(request, claim),
    )
    if not _same(expected, claim.signature):
        raise InvalidSignatureException
    _check_age(claim, at)
    if key.expires_at is not None and key.expires_at <= at:
        raise ExpiredTokenException
    return key.caller


def _check_scope(claim: Claim, *, service: str | None, region: str | None) -> None:
    date = claim.scope[:8]
    if date != claim.stamp[:8]:
        raise InvalidSignatureException(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{date}' != '{claim.stamp[:8]}', from '{claim.stamp}'."
        )
    if service is not None and claim.service != service:
        raise InvalidSignatureException(f"Credential should be scoped to correct service: '{service}'. ")
    if region is not None and claim.region != region:
        raise InvalidSignatureException(
            f"Credential should be scoped to a valid region, not '{claim.region[:64]}': here it is '{region}'. "
        )


def _check_age(claim: Claim, at: datetime) -> None:
    signed_at, now = claim.signed_at, at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    if signed_at > at + SKEW:
        latest = (at + SKEW).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        raise InvalidSignatureException(
            f"Signature not yet current: {claim.stamp} is still later than {latest} ({now} + 5 min.)"
        )
    if claim.presigned_for is not None:
        if signed_at + claim.presigned_for < at:
            raise RequestExpired
    elif signed_at < at - SKEW:
        earliest = (at - SKEW).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        raise InvalidSignatureException(
            f"Signature expired: {claim.stamp} is now earlier than {earliest} ({now} - 5 min.)"
        )


def _canonical_of(request: HttpRequest, claim: Claim) -> str:
    names = claim.signed_headers.split(";")
    if names != sorted(set(names)) or not all(_HEADER_NAME.fullmatch(name) for name in names):
        raise IncompleteSignatureException("SignedHeaders must be lower-case header names, sorted and unique.")
    if "host" not in names:
        raise InvalidSignatureException("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    for name in _MUST_BE_SIGNED:
        if name not in names and request.header(name) is not None:
            raise InvalidSignatureException(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    # A header that is named as signed but was not sent counts as empty, which no honest signer ever hashed.
    headers = canonical_headers((name, request.header_values(name)) for name in names)
    return canonical_request(
        method=request.method.upper(),
        path=canonical_path(request.path, service=claim.service),
        query=canonical_query(request.query, leave_out="X-Amz-Signature"),
        headers=headers,
        signed_headers=claim.signed_headers,
        payload_hash=_payload_hash(request, claim),
    )


def _payload_hash(request: HttpRequest, claim: Claim) -> str:
    announced = request.header("x-amz-content-sha256")
    if claim.service == "s3" and (
        announced == UNSIGNED_PAYLOAD or (announced is None and claim.presigned_for is not None)
    ):
        return UNSIGNED_PAYLOAD
    hashed = hashlib.sha256(request.body).hexdigest()
    if announced is not None and not _same(announced.lower(), hashed):
        raise InvalidSignatureException("The provided 'x-amz-content-sha256' header does not match what was computed.")
    return hashed


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _host_of(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    default = {"http": 80, "ws": 80, "https": 443, "wss": 443}.get(parts.scheme)
    return host if parts.port in (None, default) else f"{host}:{parts.port}"
