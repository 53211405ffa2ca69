"""The client of other registries: what it does to get in, and what it does not let itself be talked into."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kit.clock import ManualClock
from registry.upstream import (
    BadAddress,
    Login,
    Misbehaved,
    NotThere,
    Refused,
    RegistryConnection,
    Throttled,
    Unreachable,
    read_address,
)
from registry.upstream.address import Address, may_log_in_at, may_send_us_to
from registry.upstream.authentication import read_challenge
from tests.support.serving import serving

LOGIN = Login(username="me", password="s3cret")
BASIC = "Basic " + b64encode(b"me:s3cret").decode()
SCOPE = "repository:a:pull"


@dataclass
class Upstream:
    """A registry as a function from request to answer; ``asked`` is what came, in order."""

    answer: Callable[["Upstream", Any], tuple[int, dict[str, str], bytes]]
    port: int = 0
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, login: Login | None = None, **options: Any) -> RegistryConnection:
        return RegistryConnection(read_address(self.url), login, **options)


@contextmanager
def running(answer: Callable[[Upstream, Any], tuple[int, dict[str, str], bytes]]) -> Iterator[Upstream]:
    upstream = Upstream(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = self.headers.get("Content-Length")
            self.sent = self.rfile.read(int(length)) if length else b""
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    self.sent += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            upstream.asked.append((self.command, self.path, self.headers.get("Authorization")))
            status, headers, body = answer(upstream, self)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        upstream.port = server.server_address[1]
        with serving(server):
            yield upstream


def bearer(upstream: Upstream, request: Any) -> tuple[int, dict[str, str], bytes]:
    """A registry that wants a token of its own, for which ``me`` must log in."""
    if request.path.startswith("/token?"):
        good = request.headers.get("Authorization") == BASIC
        return (200, {}, json.dumps({"token": "t0ken", "expires_in": 300}).encode()) if good else (401, {}, b"")
    if request.headers.get("Authorization") == "Bearer t0ken":
        return 200, {"Docker-Content-Digest": "sha256:x"}, b"manifest"
    asks = f'Bearer realm="{upstream.url}/token",service="registry, inc",scope="repository:a:pull"'
    return 401, {"WWW-Authenticate": asks}, b"{}"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("registry-1.docker.io", "https://registry-1.docker.io"),
        ("Quay.IO", "https://quay.io"),
        ("https://a.example:443/", "https://a.example"),
        ("http://10.0.0.1:5000", "http://10.0.0.1:5000"),
        ("http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_an_address_is_a_host_with_or_without_scheme_and_port(text: str, url: str) -> None:
    assert read_address(text).url == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://a.example",
        "https://a.example/v2",
        "https://me:pw@a.example",
        "a.example?x",
        "a.example#",
        "https://",
        "http://a..b",
        "http://a.example:0",
        "http://a.example:99999",
        "http://a.example:x",
        "http://[::1",
        "http://a b",
        "http://a\r\nx",
        "file:///etc/passwd",
    ],
)
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(BadAddress):
        read_address(text)


def test_a_token_is_fetched_once_and_used_until_it_ends() -> None:
    clock = ManualClock()
    with running(bearer) as upstream:
        connection = upstream.connect(LOGIN, clock=clock)
        for _ in range(3):
            assert connection.get("/v2/a/manifests/1", scope=SCOPE).body == b"manifest"
        clock.tick(minutes=6)
        connection.get("/v2/a/manifests/1", scope=SCOPE)
        connection.close()
    paths = [path for _, path, _ in upstream.asked]
    token = "/token?service=registry%2C+inc&scope=repository%3Aa%3Apull&account=me"
    assert paths == ["/v2/a/manifests/1", token, *["/v2/a/manifests/1"] * 4, token, "/v2/a/manifests/1"]


def test_wrong_credentials_are_told_without_telling_them() -> None:
    with running(bearer) as upstream:
        connection = upstream.connect(Login(username="me", password="wr0ng"))
        with pytest.raises(Refused) as caught:
            connection.get("/v2/a/manifests/1", scope=SCOPE)
        connection.close()
    assert "wr0ng" not in str(caught.value) and "wr0ng" not in repr(connection)


def test_basic_credentials_are_sent_only_once_they_are_asked_for() -> None:
    def basic(upstream: Upstream, request: Any) -> tuple[int, dict[str, str], bytes]:
        if request.headers.get("Authorization") == BASIC:
            return 200, {}, b"ok"
        return 401, {"WWW-Authenticate": 'Basic realm="here"'}, b""

    with running(basic) as upstream:
        connection = upstream.connect(LOGIN)
        for _ in range(2):
            assert connection.get("/v2/", scope="").body == b"ok"
        connection.close()
        anonymous = upstream.connect()
        with pytest.raises(Refused, match="user name"):
            anonymous.get("/v2/", scope="")
        anonymous.close()
    assert [authorization for _, _, authorization in upstream.asked] == [None, BASIC, BASIC, None]


def test_credentials_do_not_follow_a_redirect_to_another_host() -> None:
    def elsewhere(upstream: Upstream, request: Any) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, b"blob"

    with running(elsewhere) as bucket:

        def basic(upstream: Upstream, request: Any) -> tuple[int, dict[str, str], bytes]:
            if request.headers.get("Authorization") != BASIC:
                return 401, {"WWW-Authenticate": "Basic"}, b""
            return 307, {"Location": f"{bucket.url}/bytes?signed=1"}, b""

        with running(basic) as upstream:
            connection = upstream.connect(LOGIN)
            assert connection.get("/v2/a/blobs/x", scope=SCOPE).body == b"blob"
            connection.close()
    assert bucket.asked == [("GET", "/bytes?signed=1", None)]


def test_credentials_are_not_sent_to_a_host_for_tokens_that_is_not_the_registrys() -> None:
    def token(upstream: Upstream, request: Any) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, b'{"token": "x"}'

    with running(token) as thief:

        def asks(upstream: Upstream, request: Any) -> tuple[int, dict[str, str], bytes]:
            # The same machine under another name.
            realm = thief.url.replace("127.0.0.1", "localhost")
            return 401, {"WWW-Authenticate": f'Bearer realm="{realm}/token"'}, b""

        with running(asks) as upstream:
            connection = upstream.connect(LOGIN)
            with pytest.raises(Refused, match="not its own"):
                connection.get("/v2/", scope="")
            connection.close()
    assert thief.asked == []


@pytest.mark.parametrize(
    ("registry", "realm", "may"),
    [
        ("registry-1.docker.io", "https://auth.docker.io", True),
        ("registry-1.docker.io", "http://auth.docker.io", False),
        ("registry.gitlab.com", "https://gitlab.com", True),
        ("quay.io", "https://quay.io", True),
        ("quay.io", "https://evil.io", False),
        ("registry.example.com", "https://auth.example.com", True),
        ("registry.example.com", "https://auth.example.com.evil.net", False),
        ("registry.example.com", "https://notexample.com", False),
        ("http://10.0.0.1:5000", "http://10.0.0.1:5001", True),
        ("http://10.0.0.1:5000", "http://10.0.0.2:5000", False),
    ],
)
def test_who_may_see_the_credentials(registry: str, realm: str, may: bool) -> None:
    assert may_log_in_at(read_address(registry), read_address(realm)) is may


@pytest.mark.parametrize(
    ("registry", "target", "may"),
    [
        ("quay.io", "https://cdn.example.net", True),
        ("quay.io", "http://cdn.example.net", False),
        ("quay.io", "https://169.254.169.254", False),
        ("quay.io", "https://127.0.0.1", False),
        ("quay.io", "https://[::1]", False),
        ("quay.io", "https://localhost", False),
        ("https://10.0.0.1", "https://10.0.0.2", True),
        ("http://registry.local", "http://minio.local:9000", True),
    ],
)
def test_where_a_redirect_may_lead(registry: str, target: str, may: bool) -> None:
    assert may_send_us_to(read_address(registry), read_address(target)) is may


def test_redirects_come_to_an_end() -> None:
    with running(lambda upstream, request: (302, {"Location": request.path}, b"")) as upstream:
        connection = upstream.connect()
        with pytest.raises(Misbehaved, match="again and again"):
            connection.get("/v2/", scope="")
        connection.close()
    assert len(upstream.asked) == 6


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://", "http://me:pw@127.0.0.1/", "gopher://x/"])
def test_a_redirect_to_no_address_is_not_followed(location: str) -> None:
    with running(lambda upstream, request: (302, {"Location": location}, b"")) as upstream:
        connection = upstream.connect()
        with pytest.raises(Misbehaved):
            connection.get("/v2/", scope="")
        connection.close()


def test_an_answer_that_is_too_long_is_not_taken() -> None:
    with running(lambda upstream, request: (200, {}, b"x" * 2000)) as upstream:
        connection = upstream.connect()
        assert len(connection.get("/v2/", scope="", largest=2000).body) == 2000
        with pytest.raises(Misbehaved, match="more than 1999"):
            connection.get("/v2/", scope="", largest=1999)
        connection.close()


def test_an_answer_that_ends_early_is_not_taken_for_whole() -> None:
    with running(
        lambda upstream, request: (200, {"Content-Length": "10", "Connection": "close"}, b"short")
    ) as upstream:
        connection = upstream.connect()
        with pytest.raises(Unreachable, match="stopped sending"):
            connection.get("/v2/", scope="")
        connection.close()


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotThere), (403, Refused), (500, Unreachable), (503, Unreachable), (418, Misbehaved)]
)
def test_statuses_become_errors(status: int, error: type[Exception]) -> None:
    with running(lambda upstream, request: (status, {}, b"{}")) as upstream:
        connection = upstream.connect()
        with pytest.raises(error):
            connection.get("/v2/", scope="")
        connection.close()


def test_a_registry_that_is_asked_too_much_says_when_to_come_back() -> None:
    with running(lambda upstream, request: (429, {"Retry-After": "7"}, b"")) as upstream:
        connection = upstream.connect()
        with pytest.raises(Throttled) as caught:
            connection.get("/v2/", scope="")
        connection.close()
    assert caught.value.retry_after == 7


def test_a_registry_that_is_not_there_is_unreachable() -> None:
    with running(lambda upstream, request: (200, {}, b"")) as upstream:
        connection = upstream.connect()
    with pytest.raises(Unreachable, match="cannot be reached"):
        connection.get("/v2/", scope="")
    connection.close()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{}", b'{"token": 1}', b'{"token": "a b"}', b'{"token":"\xff"}']
)
def test_what_is_no_token_is_not_sent(body: bytes) -> None:
    def asks(upstream: Upstream, request: Any) -> tuple[int, dict[str, str], bytes]:
        if request.path.startswith("/token"):
            return 200, {}, body
        return 401, {"WWW-Authenticate": f'Bearer realm="{upstream.url}/token"'}, b""

    with running(asks) as upstream:
        connection = upstream.connect()
        with pytest.raises(Misbehaved, match="no token"):
            connection.get("/v2/", scope="")
        connection.close()


def test_a_stream_is_sent_again_after_logging_in() -> None:
    taken: list[bytes] = []

    def basic(upstream: Upstream, request: Any) -> tuple[int, dict[str, str], bytes]:
        taken.append(request.sent)
        if request.headers.get("Authorization") != BASIC:
            return 401, {"WWW-Authenticate": "Basic"}, b""
        return 202, {"Location": "/v2/a/blobs/uploads/1"}, b""

    with running(basic) as upstream:
        connection = upstream.connect(LOGIN)
        answer = connection.patch(
            "/v2/a/blobs/uploads/1", scope="repository:a:push", body=lambda: iter([b"one", b"two"])
        )
        connection.close()
    assert (answer.status, answer.headers["location"]) == (202, "/v2/a/blobs/uploads/1")
    assert taken == [b"onetwo", b"onetwo"]


@pytest.mark.parametrize(
    ("header", "scheme", "realm"),
    [
        ('Bearer realm="https://a/t",service="s"', "bearer", "https://a/t"),
        ('basic realm="x"', "basic", "x"),
        ('Basic realm="x", Bearer realm="https://a/t"', "bearer", "https://a/t"),
        ('Bearer realm="a\\"b"', "bearer", 'a"b'),
        ("Bearer realm=https://a/t", "bearer", "https://a/t"),
    ],
)
def test_challenges_are_read(header: str, scheme: str, realm: str) -> None:
    challenge = read_challenge(header)
    assert challenge is not None
    assert (challenge.scheme, challenge.parameters["realm"]) == (scheme, realm)


@pytest.mark.parametrize("header", [None, "", "Negotiate", "Digest realm=x", "Bearerish realm=x"])
def test_other_challenges_are_none(header: str | None) -> None:
    assert read_challenge(header) is None


def test_an_address_is_one_whatever_way_it_is_written() -> None:
    assert read_address("http://A.example:80") == Address(scheme="http", host="a.example", port=80)
