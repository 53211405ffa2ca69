"""Signing and verifying: alike to botocore in both directions, and deaf to every tampered request."""

import base64
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from subprocess import run
from unittest import mock
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from kit.aws.errors import (
    AwsError,
    ExpiredTokenException,
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationToken,
    RequestExpired,
    UnrecognizedClientException,
)
from kit.aws.http import HttpRequest
from kit.aws.sigv4 import Caller, Key, sign, verify

AT = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
CALLER = Caller(access_key_id="AKIDEXAMPLE", principal_arn="arn:aws:iam::123456789012:root", account="123456789012")
KEY = Key(access_key_id="AKIDEXAMPLE", secret="secret/of+forty=characters", caller=CALLER)
SESSION = replace(
    KEY, access_key_id="ASIAEXAMPLE", session_token="a+token/with=all", expires_at=AT + timedelta(hours=1)
)
KEYS = {key.access_key_id: key for key in (KEY, SESSION)}
URLS = [
    "http://berth.example:7070/",
    "https://berth.example/",
    "http://berth.example:7070/v1/tags/arn%3Aaws%3Abatch%3Aus-east-1%3A123456789012%3Ajob-queue%2Fq?tagKeys=b&tagKeys=a",
    "http://berth.example:7070/schedules/a%20b?groupName=%C3%A9&x",
    "http://berth.example:7070/ws?clusterArn=arn%3Aaws&agentVersion=1.90.0&seqNum=1",
]
BODY = b'{"cluster": "default"}'
HEADERS = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Prefix.StopTask", "X-Odd": "  a   b "}


@pytest.fixture(autouse=True)
def botocore_clock() -> Iterator[None]:
    with mock.patch("botocore.auth.get_current_datetime", return_value=AT.replace(tzinfo=None)):
        yield


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("key", [KEY, SESSION], ids=["long-lived", "session"])
def test_what_botocore_signs_is_verified(url: str, key: Key) -> None:
    assert verify(signed_by_botocore(url, key), KEYS.get, AT) == CALLER


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("key", [KEY, SESSION], ids=["long-lived", "session"])
def test_berth_signs_exactly_as_botocore_does(url: str, key: Key) -> None:
    expected = signed_by_botocore(url, key)

    added = signed_headers(url, key)

    assert added["Authorization"] == expected.header("authorization")
    assert added.get("X-Amz-Security-Token") == expected.header("x-amz-security-token")
    assert "X-Amz-Content-SHA256" not in added


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("key", [KEY, SESSION], ids=["long-lived", "session"])
def test_what_botocore_presigns_is_verified_until_it_expires(url: str, key: Key) -> None:
    request = presigned_by_botocore(url, key, lasts=900)

    assert verify(request, KEYS.get, AT + timedelta(minutes=14)) == CALLER
    with pytest.raises(RequestExpired):
        verify(request, KEYS.get, AT + timedelta(minutes=16))


def test_a_web_socket_handshake_is_signed_like_the_get_it_is() -> None:
    url = "ws://berth.example:80/ws?b=2&a=1"
    added = sign(
        method="GET",
        url=url,
        headers={},
        body=b"",
        access_key=KEY.access_key_id,
        secret_key=KEY.secret,
        service="ecs",
        region="us-east-1",
        at=AT,
    )
    headers = {"Host": "berth.example", "Connection": "Upgrade", **added}

    assert verify(HttpRequest(method="GET", path="/ws", query="b=2&a=1", headers=headers), KEYS.get, AT) == CALLER


def tampered(request: HttpRequest) -> Iterator[tuple[str, HttpRequest]]:
    headers = dict(request.headers)
    yield "method", replace(request, method="PUT")
    yield "path", replace(request, path=request.path + "x")
    yield "query", replace(request, query=request.query + "&z=1")
    yield "body", replace(request, body=request.body + b" ")
    for name in ("host", "x-amz-date", "content-type", "x-amz-target", "x-odd", "authorization"):
        yield name, replace(request, headers={**headers, name: changed(headers[name])})
        yield f"no {name}", replace(request, headers={k: v for k, v in headers.items() if k != name})
    yield "token", replace(request, headers={**headers, "x-amz-security-token": "other"})
    yield "unsigned hash", replace(request, headers={**headers, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    duplicate = [*request.headers, ("x-amz-target", "Prefix.RunTask")]
    yield "second target", replace(request, headers=duplicate)
    yield "second odd header", replace(request, headers=[*request.headers, ("x-odd", "more")])


def changed(value: str) -> str:
    return value[:-1] + ("0" if value[-1] != "0" else "1")


@pytest.mark.parametrize("key", [KEY, SESSION], ids=["long-lived", "session"])
def test_nothing_tampered_with_is_verified(key: Key) -> None:
    request = signed_by_botocore(URLS[2], key)
    for part, other in tampered(request):
        with pytest.raises(AwsError):
            pytest.fail(f"{part} was not noticed: {verify(other, KEYS.get, AT)}")


def test_no_single_character_of_a_presigned_query_can_be_changed() -> None:
    request = presigned_by_botocore(URLS[2], SESSION, lasts=900)
    for i, char in enumerate(request.query):
        other = replace(request, query=request.query[:i] + ("0" if char != "0" else "1") + request.query[i + 1 :])
        with pytest.raises(AwsError):
            pytest.fail(f"character {i} was not noticed: {verify(other, KEYS.get, AT)}")


def test_headers_that_decide_what_is_meant_must_be_signed() -> None:
    added = signed_headers(URLS[0], KEY, headers={})
    headers = {"Host": "berth.example:7070", "X-Amz-Target": "Prefix.StopTask", **added}
    with pytest.raises(InvalidSignatureException, match="'x-amz-target' must be a 'SignedHeader'"):
        verify(HttpRequest(method="POST", path="/", headers=headers, body=BODY), KEYS.get, AT)


def test_a_header_may_come_in_any_case_and_with_blanks_around() -> None:
    request = signed_by_botocore(URLS[0], KEY)
    loud = [(name.upper(), value) for name, value in request.headers if name != "x-odd"]

    assert verify(replace(request, headers=[*loud, ("X-ODD", "a b")]), KEYS.get, AT) == CALLER


def test_skew_beyond_five_minutes_is_refused_in_aws_words() -> None:
    request = signed_by_botocore(URLS[0], KEY)
    assert verify(request, KEYS.get, AT + timedelta(minutes=5)) == CALLER
    assert verify(request, KEYS.get, AT - timedelta(minutes=5)) == CALLER

    with pytest.raises(InvalidSignatureException) as late:
        verify(request, KEYS.get, AT + timedelta(minutes=6))
    assert late.value.message == (
        "Signature expired: 20300101T120000Z is now earlier than 20300101T120100Z (20300101T120600Z - 5 min.)"
    )
    with pytest.raises(InvalidSignatureException) as early:
        verify(request, KEYS.get, AT - timedelta(minutes=6))
    assert early.value.message == (
        "Signature not yet current: 20300101T120000Z is still later than 20300101T115900Z (20300101T115400Z + 5 min.)"
    )


def test_keys_that_are_unknown_expired_or_lack_their_token_are_told_apart() -> None:
    request = signed_by_botocore(URLS[0], SESSION)

    with pytest.raises(UnrecognizedClientException):
        verify(request, {}.get, AT)
    with pytest.raises(UnrecognizedClientException):
        verify(request, {SESSION.access_key_id: replace(SESSION, session_token="another")}.get, AT)
    with pytest.raises(UnrecognizedClientException):
        verify(request, {SESSION.access_key_id: replace(SESSION, session_token=None)}.get, AT)
    with pytest.raises(ExpiredTokenException):
        verify(request, {SESSION.access_key_id: replace(SESSION, expires_at=AT)}.get, AT)
    with pytest.raises(InvalidSignatureException):
        # An expired key is told as such only to whoever holds its secret.
        verify(request, {SESSION.access_key_id: replace(SESSION, secret="x", expires_at=AT)}.get, AT)


def test_a_credential_for_another_service_region_or_day_is_refused() -> None:
    request = signed_by_botocore(URLS[0], KEY)
    assert verify(request, KEYS.get, AT, service="ecs", region="us-east-1") == CALLER

    with pytest.raises(InvalidSignatureException, match="correct service: 'batch'"):
        verify(request, KEYS.get, AT, service="batch")
    with pytest.raises(InvalidSignatureException, match="valid region, not 'us-east-1': here it is 'eu-west-1'"):
        verify(request, KEYS.get, AT, region="eu-west-1")
    authorization = request.header("authorization") or ""
    other_day = {**dict(request.headers), "authorization": authorization.replace("/20300101/", "/20300102/")}
    with pytest.raises(InvalidSignatureException, match="Date in Credential scope does not match"):
        verify(replace(request, headers=other_day), KEYS.get, AT)


SCOPE = "AKIDEXAMPLE/20300101/us-east-1/ecs/aws4_request"


@pytest.mark.parametrize(
    ("headers", "query", "error"),
    [
        ({}, "", MissingAuthenticationToken),
        ({"authorization": ""}, "", IncompleteSignatureException),
        ({"authorization": "Basic " + base64.b64encode(b"AWS:x").decode()}, "", IncompleteSignatureException),
        ({"authorization": "AWS4-HMAC-SHA256"}, "", IncompleteSignatureException),
        ({"authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}"}, "", IncompleteSignatureException),
        (
            {"authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=0"},
            "",
            IncompleteSignatureException,
        ),
        (
            {
                "authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=0",
                "x-amz-date": "yesterday",
            },
            "",
            IncompleteSignatureException,
        ),
        (
            {
                "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE, SignedHeaders=host, Signature=0",
                "x-amz-date": "20300101T120000Z",
            },
            "",
            IncompleteSignatureException,
        ),
        (
            {
                "authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=x-amz-date, Signature=0",
                "x-amz-date": "20300101T120000Z",
            },
            "",
            InvalidSignatureException,
        ),
        (
            {
                "authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=x-amz-date;host, Signature=0",
                "x-amz-date": "20300101T120000Z",
            },
            "",
            IncompleteSignatureException,
        ),
        (
            {
                "authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=0",
                "x-amz-date": "20309999T120000Z",
            },
            "",
            IncompleteSignatureException,
        ),
        ({}, "X-Amz-Algorithm=AWS4-HMAC-SHA256", IncompleteSignatureException),
        ({}, "X-Amz-Signature=0&X-Amz-Signature=0", IncompleteSignatureException),
    ],
)
def test_authorisation_that_cannot_be_read_is_refused(
    headers: dict[str, str], query: str, error: type[AwsError]
) -> None:
    with pytest.raises(error):
        verify(HttpRequest(method="POST", path="/", query=query, headers=headers), KEYS.get, AT)


@pytest.mark.parametrize("lasts", ["0", "604801", "-1", "1e3", "٣"])
def test_a_presigned_request_lasts_a_week_at_most(lasts: str) -> None:
    request = presigned_by_botocore(URLS[0], KEY, lasts=900)
    with pytest.raises(IncompleteSignatureException, match="X-Amz-Expires"):
        verify(replace(request, query=request.query.replace("Expires=900", f"Expires={lasts}")), KEYS.get, AT)


def test_a_key_never_shows_its_secret() -> None:
    assert KEY.secret not in repr(KEY)


def test_the_agents_part_needs_no_botocore() -> None:
    code = "import sys, kit.aws.sigv4, kit.aws.errors, kit.aws.http; sys.exit('botocore' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0


def signed_headers(url: str, key: Key, headers: dict[str, str] = HEADERS) -> dict[str, str]:
    return sign(
        method="POST",
        url=url,
        headers=headers,
        body=BODY,
        access_key=key.access_key_id,
        secret_key=key.secret,
        session_token=key.session_token,
        service="ecs",
        region="us-east-1",
        at=AT,
    )


def signed_by_botocore(url: str, key: Key) -> HttpRequest:
    request = AWSRequest(method="POST", url=url, data=BODY, headers=dict(HEADERS))
    SigV4Auth(Credentials(key.access_key_id, key.secret, key.session_token), "ecs", "us-east-1").add_auth(request)
    return as_http(request, BODY)


def presigned_by_botocore(url: str, key: Key, *, lasts: int) -> HttpRequest:
    request = AWSRequest(method="GET", url=url, headers={})
    credentials = Credentials(key.access_key_id, key.secret, key.session_token)
    SigV4QueryAuth(credentials, "ecs", "us-east-1", expires=lasts).add_auth(request)
    return as_http(request, b"")


def as_http(request: AWSRequest, body: bytes) -> HttpRequest:
    parts = urlsplit(request.url)
    headers = {"host": parts.netloc, **dict(request.headers.items())}
    return HttpRequest(method=request.method, path=parts.path, query=parts.query, headers=headers, body=body)
