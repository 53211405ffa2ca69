"""What a request claims about its own signature, in its Authorization header or in its query; nothing is verified here.

Whatever cannot be read is refused in AWS's words.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

from kit.aws.canonical import ALGORITHM
from kit.aws.errors import IncompleteSignatureException, MissingAuthenticationToken
from kit.aws.http import HttpRequest

LONGEST_PRESIGNED = timedelta(days=7)

_STAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_SCOPE = re.compile(r"[0-9]{8}/[^/\s]+/[^/\s]+/aws4_request")
_MUST_BE_SINGLE = (
    "authorization",
    "host",
    "content-type",
    "content-length",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-target",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a request says about its own signature, before anything is believed."""

    access_key_id: str
    scope: str
    stamp: str
    signed_headers: str
    signature: str
    token: str | None
    presigned_for: timedelta | None = None

    @property
    def region(self) -> str:
        """The region the credential is scoped to."""
        return self.scope.split("/")[1]

    @property
    def service(self) -> str:
        """The service the credential is scoped to, by its signing name."""
        return self.scope.split("/")[2]

    @property
    def signed_at(self) -> datetime:
        """When the request says it was signed."""
        return datetime.fromisoformat(self.stamp)


def read_claim(request: HttpRequest) -> Claim:
    """What the request says about its signature; nothing is verified yet. Raises what AWS raises when unreadable."""
    for name in _MUST_BE_SINGLE:
        if len(request.header_values(name)) > 1:
            raise IncompleteSignatureException(f"Header '{name}' must occur at most once.")
    authorization = request.header("authorization")
    if authorization is not None:
        return _claim_of_header(request, authorization)
    if "X-Amz-Signature=" in request.query or "X-Amz-Algorithm=" in request.query:
        return _claim_of_query(request)
    raise MissingAuthenticationToken


def _claim_of_header(request: HttpRequest, authorization: str) -> Claim:
    algorithm, _, rest = authorization.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise IncompleteSignatureException(f"Unsupported AWS 'algorithm': '{algorithm[:64]}'.")
    given: dict[str, str] = {}
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        if name in given:
            raise IncompleteSignatureException(f"Authorization header repeats '{name[:64]}'.")
        given[name] = value
    wanted = ("Credential", "Signature", "SignedHeaders")
    missing = [f"Authorization header requires '{name}' parameter." for name in wanted if not given.get(name)]
    stamp = _stamp_of(request)
    if stamp is None:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing or stamp is None:
        raise IncompleteSignatureException(" ".join(missing))
    return _claim(
        given["Credential"],
        stamp=stamp,
        signed_headers=given["SignedHeaders"],
        made=given["Signature"],
        token=request.header("x-amz-security-token"),
    )


def _stamp_of(request: HttpRequest) -> str | None:
    stamp = request.header("x-amz-date")
    if stamp is not None:
        return stamp.strip()
    date = request.header("date")
    if date is None or _STAMP.fullmatch(date.strip()):
        return date and date.strip()
    try:
        return parsedate_to_datetime(date).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, OverflowError, TypeError):
        return date


def _claim_of_query(request: HttpRequest) -> Claim:
    given: dict[str, str] = {}
    for part in request.query.split("&"):
        name, _, value = part.partition("=")
        if name.startswith("X-Amz-"):
            if name in given:
                raise IncompleteSignatureException(f"AWS query-string parameters repeat '{name[:64]}'.")
            given[name] = unquote(value)
    wanted = ("Algorithm", "Credential", "Signature", "SignedHeaders", "Date", "Expires")
    missing = [name for name in wanted if not given.get(f"X-Amz-{name}")]
    if missing:
        raise IncompleteSignatureException(
            " ".join(f"AWS query-string parameters must include 'X-Amz-{name}'." for name in missing)
        )
    if given["X-Amz-Algorithm"] != ALGORITHM:
        raise IncompleteSignatureException(f"Unsupported AWS 'algorithm': '{given['X-Amz-Algorithm'][:64]}'.")
    if not re.fullmatch(r"[0-9]{1,6}", given["X-Amz-Expires"]):
        raise IncompleteSignatureException("X-Amz-Expires must be a number of seconds.")
    lasts = timedelta(seconds=int(given["X-Amz-Expires"]))
    if not timedelta(0) < lasts <= LONGEST_PRESIGNED:
        raise IncompleteSignatureException("X-Amz-Expires must be between 1 and 604800 seconds.")
    return _claim(
        given["X-Amz-Credential"],
        stamp=given["X-Amz-Date"],
        signed_headers=given["X-Amz-SignedHeaders"],
        made=given["X-Amz-Signature"],
        token=given.get("X-Amz-Security-Token"),
        presigned_for=lasts,
    )


def _claim(
    credential: str,
    *,
    stamp: str,
    signed_headers: str,
    made: str,
    token: str | None,
    presigned_for: timedelta | None = None,
) -> Claim:
    access_key_id, _, scope = credential.partition("/")
    if not access_key_id or not _SCOPE.fullmatch(scope):
        raise IncompleteSignatureException(
            "Credential must have exactly 5 slash-delimited elements, "
            f"e.g. keyid/date/region/service/term, got '{credential[:256]}'"
        )
    claim = Claim(
        access_key_id=access_key_id,
        scope=scope,
        stamp=stamp,
        signed_headers=signed_headers,
        signature=made,
        token=token,
        presigned_for=presigned_for,
    )
    try:
        if not _STAMP.fullmatch(stamp):
            raise ValueError
        _ = claim.signed_at
    except ValueError:
        raise IncompleteSignatureException(
            f"Date must be in ISO-8601 'basic format'. Got '{stamp[:64]}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ) from None
    return claim
