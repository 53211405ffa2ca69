"""A connection to another registry: a small client that trusts nothing it hears.

Every answer is bounded in size and in time. Redirects are few, never lead from https to http or from outside into our
own networks, and never carry credentials to another host. Any number of threads may use one connection.
"""

import ssl
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urljoin

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, ProtocolError

from kit.clock import Clock, SystemClock, monotonic
from registry.upstream.address import Address, BadAddress, address_of, may_send_us_to
from registry.upstream.authentication import Authentication, Login, read_challenge
from registry.upstream.errors import Misbehaved, NotThere, Refused, Throttled, Unreachable, UpstreamError

Body = bytes | Callable[[], Iterable[bytes]] | None
"""What is sent; a stream is given as a function, since it may have to be sent again after logging in."""

CONNECT_WITHIN = 10.0
SILENT_AT_MOST = 30.0
_ANSWER_WITHIN = 60.0
_LARGEST_ANSWER = 4 * 1024 * 1024
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, whole. Header names are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Flow:
    """An answer whose body is still arriving."""

    def __init__(self, raw: urllib3.BaseHTTPResponse, where: str, within: float) -> None:
        self.status = raw.status
        self.headers = {name.lower(): value for name, value in raw.headers.items()}
        self._raw = raw
        self._where = where
        self._ends_at = monotonic() + within

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives; raises Unreachable when it stops arriving or takes too long."""
        try:
            for piece in self._raw.stream(_CHUNK, decode_content=False):
                yield piece
                if monotonic() > self._ends_at:
                    raise Unreachable(f"{self._where} sends too slowly")
        except (HTTPError, OSError) as error:
            raise Unreachable(f"{self._where} stopped sending: {_reason(error)}") from error

    def whole(self, largest: int) -> bytes:
        """The body, of at most ``largest`` bytes; raises Misbehaved, Unreachable."""
        body = bytearray()
        for piece in self.pieces():
            body += piece
            if len(body) > largest:
                raise Misbehaved(f"{self._where} sent more than {largest} bytes")
        return bytes(body)


class RegistryConnection:
    """One registry, and the credentials for it. ``scope`` is what a token is asked for: ``repository:a/b:pull``."""

    def __init__(
        self,
        address: Address,
        login: Login | None = None,
        *,
        clock: Clock | None = None,
        ca_file: str | None = None,
        silent_at_most: float = SILENT_AT_MOST,
    ) -> None:
        self.address = address
        self._login = Authentication(address, login, clock=clock or SystemClock(), fetch=self._fetch_token)
        self._timeout = urllib3.Timeout(connect=CONNECT_WITHIN, read=silent_at_most)
        self._pools = _Pools(ca_file)

    def get(
        self,
        path: str,
        *,
        scope: str,
        headers: Mapping[str, str] | None = None,
        largest: int = _LARGEST_ANSWER,
    ) -> Answer:
        """GET a page; raises UpstreamError where it is not a good answer."""
        with self.stream("GET", path, scope=scope, headers=headers) as flow:
            return Answer(status=flow.status, headers=flow.headers, body=flow.whole(largest))

    def head(self, path: str, *, scope: str, headers: Mapping[str, str] | None = None) -> Answer:
        with self.stream("HEAD", path, scope=scope, headers=headers) as flow:
            return Answer(status=flow.status, headers=flow.headers, body=b"")

    def post(self, path: str, *, scope: str, headers: Mapping[str, str] | None = None, body: Body = None) -> Answer:
        return self._write("POST", path, scope, headers, body)

    def patch(self, path: str, *, scope: str, headers: Mapping[str, str] | None = None, body: Body = None) -> Answer:
        return self._write("PATCH", path, scope, headers, body)

    def put(self, path: str, *, scope: str, headers: Mapping[str, str] | None = None, body: Body = None) -> Answer:
        return self._write("PUT", path, scope, headers, body)

    def delete(self, path: str, *, scope: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self._write("DELETE", path, scope, headers, None)

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        within: float = _ANSWER_WITHIN,
    ) -> Iterator[Flow]:
        """An answer of status 2xx whose body is read while the block runs, ``within`` that many seconds.

        ``path`` is beneath the registry's address, or a URL that it gave us. Raises NotThere, Refused, Throttled,
        Unreachable and Misbehaved.
        """
        url = urljoin(self.address.url, path)
        raw = self._ask(method, url, scope, dict(headers or {}), body)
        try:
            flow = Flow(raw, self.address.url, within)
            if not 200 <= flow.status < 300:
                raise _trouble(flow, method, self.address)
            yield flow
        finally:
            if method == "HEAD":
                _discard(raw)
            # What was not read to its end cannot serve another request.
            raw.close()
            raw.release_conn()

    def close(self) -> None:
        self._pools.close()

    def _write(self, method: str, path: str, scope: str, headers: Mapping[str, str] | None, body: Body) -> Answer:
        with self.stream(method, path, scope=scope, headers=headers, body=body) as flow:
            return Answer(status=flow.status, headers=flow.headers, body=flow.whole(_LARGEST_ANSWER))

    def _ask(self, method: str, url: str, scope: str, headers: dict[str, str], body: Body) -> urllib3.BaseHTTPResponse:
        known = self._login.header(scope)
        raw = self._follow(method, url, headers, body, known)
        if raw.status != 401:
            return raw
        challenge = read_challenge(raw.headers.get("WWW-Authenticate"))
        _discard(raw)
        return self._follow(method, url, headers, body, self._login.answer(challenge, scope))

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str], body: Body, authorization: str | None
    ) -> urllib3.BaseHTTPResponse:
        """Send, and go where the answer sends us, if that is allowed."""
        for _ in range(_MOST_REDIRECTS + 1):
            target = self._target(url)
            sent = {"User-Agent": "Berth", "Accept-Encoding": "identity", **headers}
            if authorization is not None and target == self.address:
                sent["Authorization"] = authorization
            raw = self._send(method, url, target, sent, body)
            location = raw.headers.get("Location")
            if raw.status not in _REDIRECTS or location is None or method not in ("GET", "HEAD"):
                return raw
            _discard(raw)
            url = urljoin(url, location)
        raise Misbehaved(f"{self.address.url} redirects again and again")

    def _target(self, url: str) -> Address:
        try:
            target = address_of(url)
        except BadAddress:
            raise Misbehaved(f"{self.address.url} sends us to no valid address") from None
        if target != self.address and not may_send_us_to(self.address, target):
            raise Misbehaved(f"{self.address.url} sends us to {target.url}, where it must not")
        return target

    def _send(
        self, method: str, url: str, target: Address, headers: Mapping[str, str], body: Body
    ) -> urllib3.BaseHTTPResponse:
        attempts = 2 if method in ("GET", "HEAD") else 1
        for attempt in range(1, attempts + 1):
            try:
                return self._pools.of(target).request(
                    method,
                    url,
                    body=body() if callable(body) else body,
                    headers=headers,
                    timeout=self._timeout,
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                )
            except ProtocolError as error:
                # A kept connection may have been closed at the other end just now.
                if attempt == attempts:
                    raise Unreachable(f"{target.url} closed the connection: {_reason(error)}") from error
            except LocationParseError:
                raise Misbehaved(f"{self.address.url} sends us to no valid address") from None
            except (HTTPError, OSError, ValueError) as error:
                raise Unreachable(f"{target.url} cannot be reached: {_reason(error)}") from error
        raise AssertionError("every attempt answers or raises")

    def _fetch_token(self, url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        target = address_of(url)
        if target != self.address and not may_send_us_to(self.address, target):
            raise Misbehaved(f"{self.address.url} sends us to {target.url} for a token, where it must not")
        raw = self._send("GET", url, target, {"User-Agent": "Berth", **headers}, None)
        try:
            return raw.status, Flow(raw, target.url, _ANSWER_WITHIN).whole(_LARGEST_ANSWER)
        finally:
            raw.release_conn()


class _Pools:
    """Connections that are kept open, through the proxy that the environment names (HTTPS_PROXY, NO_PROXY)."""

    def __init__(self, ca_file: str | None) -> None:
        context = ssl.create_default_context(cafile=ca_file)
        self._direct = urllib3.PoolManager(maxsize=16, ssl_context=context)
        self._proxies = {
            scheme: urllib3.ProxyManager(proxy, maxsize=16, ssl_context=context)
            for scheme, proxy in urllib.request.getproxies_environment().items()
            if scheme in ("http", "https") and proxy.startswith(("http://", "https://"))
        }

    def of(self, target: Address) -> urllib3.PoolManager:
        proxy = self._proxies.get(target.scheme)
        if proxy is None or urllib.request.proxy_bypass(target.host):
            return self._direct
        return proxy

    def close(self) -> None:
        for pool in (self._direct, *self._proxies.values()):
            pool.clear()


def _trouble(flow: Flow, method: str, address: Address) -> UpstreamError:
    where, status = address.url, flow.status
    match status:
        case 401 | 403:
            return Refused(f"{where} refused the request (status {status})")
        case 404 | 410:
            return NotThere(f"{where} does not have it")
        case 429:
            said = flow.headers.get("retry-after", "")
            return Throttled(f"{where} asks us to slow down", int(said) if said.isdigit() and len(said) < 6 else None)
        case _ if status >= 500:
            return Unreachable(f"{where} answered {status}")
        case _:
            return Misbehaved(f"{where} answered {status} to a {method}")


def _discard(raw: urllib3.BaseHTTPResponse) -> None:
    """Let go of an answer; its connection serves again when there was little left to read."""
    with suppress(HTTPError, OSError):
        raw.read(_CHUNK, decode_content=False)
    raw.close()
    raw.release_conn()


def _reason(error: Exception) -> str:
    """The last part of an error's text: urllib3 puts the object's address before it."""
    return (str(error).rpartition(": ")[2] or type(error).__name__)[:200]
