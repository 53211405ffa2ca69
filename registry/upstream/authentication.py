"""Logging in at another registry: what its 401 asks for, and the tokens that were given out.

Source: Docker's "Token Authentication Specification"; RFC 9110, section 11.6.1, for the challenge.
"""

import json
import re
import threading
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit

from kit.clock import Clock
from registry.upstream.address import Address, BadAddress, address_of, may_log_in_at
from registry.upstream.errors import Misbehaved, Refused

_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
# As the specification has it for a token that does not say how long it is good.
_USUAL_LIFE = 60
_LONGEST_LIFE = 3600
# Not used any more when it is about to end.
_SPARE = timedelta(seconds=10)
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user's name and password, or access token, at a registry."""

    username: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        return "Basic " + b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a 401 asks for."""

    scheme: str
    parameters: Mapping[str, str]


def read_challenge(header: str | None) -> Challenge | None:
    """The first Bearer or Basic challenge in a WWW-Authenticate header."""
    for scheme in ("bearer", "basic"):
        found = re.search(rf"(?:^|,)\s*{scheme}(?:\s+|$)", header or "", re.IGNORECASE)
        if header is not None and found is not None:
            rest = header[found.end() : found.end() + 4096]
            parameters = {
                name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else bare
                for name, quoted, bare in _PARAMETER.findall(rest)
            }
            return Challenge(scheme=scheme, parameters=parameters)
    return None


class Authentication:
    """Headers for one registry, by what they are for; any thread may ask."""

    def __init__(
        self,
        registry: Address,
        login: Login | None,
        *,
        clock: Clock,
        fetch: Callable[[str, Mapping[str, str]], tuple[int, bytes]],
    ) -> None:
        self._registry = registry
        self._login = login
        self._clock = clock
        # Gets a URL with some headers and answers status and body; no redirects.
        self._fetch = fetch
        self._basic = False
        self._tokens: OrderedDict[str, tuple[str, datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def header(self, scope: str) -> str | None:
        """The Authorization header to begin with, from what was learned before."""
        with self._lock:
            kept = self._tokens.get(scope)
            if kept is not None and kept[1] > self._clock.now():
                return f"Bearer {kept[0]}"
            return self._login.basic if self._basic and self._login is not None else None

    def answer(self, challenge: Challenge | None, scope: str) -> str:
        """The header that a challenge asks for; raises Refused, Misbehaved, Unreachable."""
        if challenge is None:
            raise Refused(f"{self._registry.url} refused the request and does not say how to log in")
        if challenge.scheme == "basic":
            if self._login is None:
                raise Refused(f"{self._registry.url} wants a user name and a password, and there are none for it")
            with self._lock:
                self._basic = True
            return self._login.basic
        token, life = self._fetch_token(challenge, scope)
        with self._lock:
            self._tokens[scope] = (token, self._clock.now() + timedelta(seconds=life) - _SPARE)
            self._tokens.move_to_end(scope)
            while len(self._tokens) > _REMEMBERED:
                self._tokens.popitem(last=False)
        return f"Bearer {token}"

    def _fetch_token(self, challenge: Challenge, scope: str) -> tuple[str, int]:
        realm = challenge.parameters.get("realm", "")
        try:
            host = address_of(realm)
        except BadAddress:
            raise Misbehaved(f"{self._registry.url} names no valid address to log in at") from None
        if self._login is not None and not may_log_in_at(self._registry, host):
            raise Refused(f"{self._registry.url} wants its credentials sent to {host.url}, which is not its own")
        asked = {"service": challenge.parameters.get("service", ""), "scope": scope}
        if self._login is not None:
            asked["account"] = self._login.username
        given = urlencode({name: value for name, value in asked.items() if value})
        headers = {} if self._login is None else {"Authorization": self._login.basic}
        status, body = self._fetch(f"{realm}{'&' if urlsplit(realm).query else '?'}{given}", headers)
        if status in (400, 401, 403):
            raise Refused(f"{host.url} does not accept the credentials for {self._registry.url} (status {status})")
        if status != 200:
            raise Misbehaved(f"{host.url} answered {status} instead of a token")
        try:
            said = json.loads(body)
            token = said.get("token") or said.get("access_token")
            life = said.get("expires_in", _USUAL_LIFE)
        except (ValueError, AttributeError, RecursionError):
            raise Misbehaved(f"{host.url} answered something that is no token") from None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
            raise Misbehaved(f"{host.url} answered something that is no token")
        if not isinstance(life, int) or isinstance(life, bool):
            life = _USUAL_LIFE
        return token, min(max(life, 0), _LONGEST_LIFE)
