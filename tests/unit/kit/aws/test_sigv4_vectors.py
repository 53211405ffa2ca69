"""AWS's own published signatures: its Signature Version 4 test suite, the IAM user guide and the S3 reference."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from kit.aws.canonical import canonical_headers, canonical_path, canonical_query, canonical_request
from kit.aws.http import HttpRequest
from kit.aws.sigv4 import Caller, Key, sign, verify

EMPTY = hashlib.sha256(b"").hexdigest()
SUITE_AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
S3_AT = datetime(2013, 5, 24, tzinfo=UTC)
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
LIST_USERS = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
SUITE = "https://example.amazonaws.com/"
BUCKET = "https://examplebucket.s3.amazonaws.com/"

SUITE_VECTORS = [
    ("GET", SUITE, {}, "service", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    (
        "GET",
        f"{SUITE}?Param2=value2&Param1=value1",
        {},
        "service",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    ("POST", SUITE, {}, "service", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ("GET", LIST_USERS, FORM, "iam", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"),
]
S3_VECTORS = [
    (
        "GET",
        f"{BUCKET}test.txt",
        {"Range": "bytes=0-9"},
        b"",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    (
        "PUT",
        f"{BUCKET}test$file.text",
        {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
        b"Welcome to Amazon S3.",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    (
        "GET",
        f"{BUCKET}?lifecycle",
        {},
        b"",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    (
        "GET",
        f"{BUCKET}?max-keys=2&prefix=J",
        {},
        b"",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
]


@pytest.mark.parametrize(("method", "url", "headers", "service", "expected"), SUITE_VECTORS)
def test_the_test_suite_is_signed_and_verified(
    method: str, url: str, headers: dict[str, str], service: str, expected: str
) -> None:
    added = sign(
        method=method,
        url=url,
        headers=headers,
        body=b"",
        access_key="AKIDEXAMPLE",
        secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        service=service,
        region="us-east-1",
        at=SUITE_AT,
    )

    assert added["Authorization"].endswith(f"Signature={expected}")
    key = key_of("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    assert verify(request_of(method, url, {**headers, **added}, b""), {"AKIDEXAMPLE": key}.get, SUITE_AT) == key.caller


@pytest.mark.parametrize(("method", "url", "headers", "body", "expected"), S3_VECTORS)
def test_the_s3_examples_are_signed_and_verified(
    method: str, url: str, headers: dict[str, str], body: bytes, expected: str
) -> None:
    added = sign(
        method=method,
        url=url,
        headers=headers,
        body=body,
        access_key="AKIAIOSFODNN7EXAMPLE",
        secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        service="s3",
        region="us-east-1",
        at=S3_AT,
    )

    assert added["Authorization"].endswith(f"Signature={expected}")
    key = key_of("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    request = request_of(method, url, {**headers, **added}, body)
    assert verify(request, {key.access_key_id: key}.get, S3_AT) == key.caller


def test_the_s3_presigned_example_is_verified_with_its_unsigned_payload() -> None:
    url = (
        f"{BUCKET}test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    key = key_of("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")

    caller = verify(request_of("GET", url, {}, b""), {key.access_key_id: key}.get, S3_AT + timedelta(hours=23))

    assert caller == key.caller


def test_canonical_requests_hash_as_the_test_suite_says() -> None:
    def hashed(method: str, path: str, query: str) -> str:
        headers = [("host", ["example.amazonaws.com"]), ("x-amz-date", ["20150830T123600Z"])]
        text = canonical_request(
            method=method,
            path=canonical_path(path, service="service"),
            query=canonical_query(query),
            headers=canonical_headers(headers),
            signed_headers="host;x-amz-date",
            payload_hash=EMPTY,
        )
        return hashlib.sha256(text.encode()).hexdigest()

    assert hashed("GET", "/", "") == "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63"
    assert hashed("POST", "/", "Param1=value1") == "9d659678c1756bb3113e2ce898845a0a79dbbc57b740555917687f1b3340fbbd"
    assert hashed("GET", "/ሴ", "") == "2a0a97d02205e45ce2e994789806b19270cfbbb0921b278ccf58f5249ac42102"


def test_canonical_forms_follow_the_rules() -> None:
    assert canonical_path("/a/../b//c/./d/", service="ecs") == "/b/c/d/"
    assert canonical_path("/v1/tags/arn%3Aaws", service="batch") == "/v1/tags/arn%253Aaws"
    assert canonical_path("/v1/tags/arn%3Aaws", service="s3") == "/v1/tags/arn%3Aaws"
    assert canonical_path("", service="ecs") == "/"
    assert canonical_query("b=2&a=%7e%2f&a=1&c&d=x+y") == "a=1&a=~%2F&b=2&c=&d=x%20y"
    assert canonical_headers([("my-header", ["  a   b\tc  ", "d"])]) == "my-header:a b c,d\n"


def key_of(access_key_id: str, secret: str) -> Key:
    caller = Caller(access_key_id=access_key_id, principal_arn="arn:aws:iam::123456789012:root", account="123456789012")
    return Key(access_key_id=access_key_id, secret=secret, caller=caller)


def request_of(method: str, url: str, headers: dict[str, str], body: bytes) -> HttpRequest:
    host, _, rest = url.removeprefix("https://").partition("/")
    path, _, query = f"/{rest}".partition("?")
    return HttpRequest(method=method, path=path, query=query, headers={"Host": host, **headers}, body=body)
