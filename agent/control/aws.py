"""Signed JSON 1.1 calls to the control plane, over connections that are kept alive.

A call answers the decoded object, or raises ``ApiError`` (the control plane said no) or ``Unreachable`` (nobody
knows whether it arrived: every call the agent makes may be repeated).
"""

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

from agent.control.refusal import NOT_KNOWN, Refusal
from agent.control.silence import CONNECT_S, notice_unanswered
from agent.keys import Keys
from kit.aws.sigv4 import sign
from kit.clock import Clock

TARGETS = {
    "ecs": "AmazonEC2ContainerServiceV20141113",
    "ecr": "AmazonEC2ContainerRegistry_V20150921",
    "logs": "Logs_20140328",
    "secretsmanager": "secretsmanager",
    "ssm": "AmazonSSM",
}
IDLE_KEPT = 8
BODY_MOST = 16 * 1024 * 1024
RETRIED_CODES = ("Throttling", "ThrottlingException", "ServiceUnavailable", "ServerException", "InternalFailure")
AUTHENTICATION_CODES = (
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "MissingAuthenticationToken",
    "RequestExpired",
    "AccessDeniedException",
)


class Unreachable(Exception):
    """The control plane did not answer, or not with something that makes sense."""


class ApiError(Exception):
    """The control plane's answer was an error."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    @property
    def retriable(self) -> bool:
        """Whether the same call may succeed later: the server's trouble, throttling, or keys being put right."""
        return self.status >= 500 or self.code in RETRIED_CODES or self.code in AUTHENTICATION_CODES


class KeyRefused(ApiError):
    """The control plane does not know this host's own key, or did not a moment ago: then it was not asked."""


class Calls(Protocol):
    """What most of the agent needs of the control plane; a simulation answers it without a network."""

    def call(self, service: str, operation: str, body: Mapping[str, Any], *, keys: Keys | None = None) -> Any:
        """One operation's answer. Raises ApiError and Unreachable."""
        ...


class Aws:
    """The control plane's HTTP door. Safe to use from many threads; each call has a connection of its own."""

    def __init__(
        self,
        *,
        endpoint: str,
        region: str,
        keys: Keys,
        clock: Clock,
        timeout: timedelta = timedelta(seconds=20),
        ca_bundle: str = "",
    ) -> None:
        """``ca_bundle`` is a file of certificates to trust in place of the machine's."""
        self.region = region
        self.clock = clock
        self._keys = keys
        self._refusal = Refusal(clock)
        self._endpoint = endpoint.rstrip("/")
        self._timeout = timeout.total_seconds()
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        parts = urlsplit(self._endpoint)
        self._path = (parts.path or "") + "/"
        # Loading the machine's certificates takes memory that is not spent on plain HTTP.
        self.trust = ssl.create_default_context(cafile=ca_bundle or None) if parts.scheme == "https" else None
        self._open = _opener(self._endpoint, min(self._timeout, CONNECT_S), self.trust)

    def call(self, service: str, operation: str, body: Mapping[str, Any], *, keys: Keys | None = None) -> Any:
        """Call one operation of a JSON 1.1 service; with the host's own keys unless others are given."""
        if keys is None and self._refusal.rest:
            raise KeyRefused(NOT_KNOWN[0], "this host's key was refused a moment ago", 403)
        payload = json.dumps(body).encode()
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"{TARGETS[service]}.{operation}",
        }
        headers |= self.signed("POST", self._endpoint + "/", headers, payload, service=service, keys=keys)
        status, answer = self._exchange(self._path, payload, headers)
        if keys is not None:
            return _decoded(status, answer)
        try:
            decoded = _decoded(status, answer)
        except ApiError as error:
            if error.code not in NOT_KNOWN:
                raise
            self._refusal.happened(str(error))
            raise KeyRefused(error.code, error.message, error.status) from error
        self._refusal.over()
        return decoded

    def post(self, path: str, body: Mapping[str, Any], *, keys: Keys) -> Any:
        """Call a door of the control plane that is no AWS operation. Raises ApiError, Unreachable."""
        payload = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        headers |= self.signed("POST", self._endpoint + path, headers, payload, keys=keys)
        status, answer = self._exchange(self._path.removesuffix("/") + path, payload, headers)
        return _decoded(status, answer)

    def use(self, keys: Keys) -> None:
        """Sign with these keys from now on."""
        self._keys, self._refusal = keys, Refusal(self.clock)

    def signed(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        service: str = "ecs",
        keys: Keys | None = None,
    ) -> dict[str, str]:
        """The signature's headers for a request to ``url``."""
        keys = keys or self._keys
        return sign(
            method=method,
            url=url,
            headers=headers,
            body=body,
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            session_token=keys.session_token,
            service=service,
            region=self.region,
            at=self.clock.now(),
        )

    @property
    def refusal(self) -> Refusal:
        """Of the host's own key."""
        return self._refusal

    def close(self) -> None:
        """Close the connections that are kept and idle; calls go on, on new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _exchange(self, path: str, payload: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        connection, fresh = self._take()
        while True:
            try:
                self._connect(connection)
                connection.request("POST", path, payload, dict(headers))
                response = connection.getresponse()
                answer = response.read(BODY_MOST)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if fresh:
                    raise Unreachable(f"{self._endpoint}: {error or type(error).__name__}") from error
                # A kept connection may have been closed at the other end meanwhile: that proves nothing.
                connection, fresh = self._open(), True
                continue
            self._give_back(connection, keep=not response.will_close)
            return response.status, answer

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        if not connection.sock:
            connection.connect()
        if opened := connection.sock:
            opened.settimeout(self._timeout)
            notice_unanswered(opened)

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), False
        return self._open(), True

    def _give_back(self, connection: http.client.HTTPConnection, *, keep: bool) -> None:
        if keep:
            with self._lock:
                if len(self._idle) < IDLE_KEPT:
                    self._idle.append(connection)
                    return
        connection.close()


def _opener(endpoint: str, timeout: float, trust: ssl.SSLContext | None) -> Callable[[], http.client.HTTPConnection]:
    parts = urlsplit(endpoint)
    if not parts.hostname:
        raise ValueError(f"{endpoint} is not a URL with a host")
    host, port = parts.hostname, parts.port
    if parts.scheme == "https":
        return lambda: http.client.HTTPSConnection(host, port, timeout=timeout, context=trust)
    return lambda: http.client.HTTPConnection(host, port, timeout=timeout)


def _decoded(status: int, answer: bytes) -> Any:
    try:
        body = json.loads(answer) if answer.strip() else {}
    except ValueError as error:
        raise Unreachable(f"HTTP {status} with a body that is not JSON") from error
    if not isinstance(body, dict):
        raise Unreachable(f"HTTP {status} with a body that is not an object")
    if status == 200:
        return body
    code = str(body.get("__type") or body.get("code") or f"HTTP{status}").rsplit("#", 1)[-1]
    raise ApiError(code, str(body.get("message") or body.get("Message") or ""), status)
