"""Bad input over HTTP, some of it such as no client library sends: coded errors, nothing half-visible, never a 500."""

import base64
import json
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from kit.clock import ManualClock
from registry.storage.memory import MemoryStorage
from registry.uploads import ABANDONED_AFTER
from tests.support.registry import OCI_MANIFEST, RegistryClient, image_of, running_registry, sha256

DATA = b"0123456789" * 500
LEGAL = {
    *("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN"),
    *("MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED"),
    *("DENIED", "UNSUPPORTED", "TOOMANYREQUESTS", "TAG_INVALID", "PAGINATION_NUMBER_INVALID"),
}


def raw(oci: RegistryClient, head: bytes, body: bytes = b"", *, hang_up: bool = False) -> tuple[int, bytes]:
    """Send exactly these bytes, with credentials; the status and the rest of the answer, (0, b"") for none."""
    host, _, port = oci.address.partition(":")
    credentials = base64.b64encode(f"AWS:{oci.password}".encode())
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        lines = (head, b"Host: registry", b"Authorization: Basic " + credentials, b"Connection: close", b"", body)
        connection.sendall(b"\r\n".join(lines))
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            # The server hung up on what it had not read; what it said first may have come.
            pass
    status, _, rest = answer.partition(b"\r\n")
    return (int(status.split()[1]), rest) if status else (0, b"")


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../etc",
        "web/../other",
        "web/./x",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e",
        "%2Fetc",
        "web%00",
        "web%0a",
        "web%20x",
        "w%C3%A9b",
        "%ff%fe",
        "%ED%A0%80",
        "web\\other",
        "WEB",
        "web_",
        "_web",
        "a..b",
        "a___b",
        "web:v1",
        "web@sha256",
        "a" * 256,
        "/".join(["a"] * 200),
        "a" * 5000,
    ],
)
def test_a_name_that_is_none_is_refused_on_every_route(oci: RegistryClient, name: str) -> None:
    digest = sha256(b"x")
    for line in (
        f"GET /v2/{name}/manifests/v1",
        f"PUT /v2/{name}/manifests/v1",
        f"GET /v2/{name}/blobs/{digest}",
        f"POST /v2/{name}/blobs/uploads/",
        f"GET /v2/{name}/tags/list",
        f"GET /v2/{name}/referrers/{digest}",
    ):
        status, answer = raw(oci, f"{line} HTTP/1.1\r\nContent-Length: 0".encode())
        assert status in (400, 404), (line, status)
        assert status == 404 or b"NAME_INVALID" in answer


@pytest.mark.parametrize("source", ["../etc", "%00", "WEB", "a" * 300])
def test_a_blob_is_mounted_from_no_name_that_is_none(oci: RegistryClient, source: str) -> None:
    digest = oci.push_blob("web", DATA)
    answer = oci.call("POST", f"other/blobs/uploads/?mount={digest}&from={source}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "NAME_INVALID")


@pytest.mark.parametrize("target", ["manifests", "blobs", "blobs/uploads", "referrers"])
@pytest.mark.parametrize("part", ["%00", "%ff", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e", "a%0d%0aX-Evil:1", "x" * 3000])
def test_nonsense_in_a_path_is_a_coded_error(oci: RegistryClient, target: str, part: str) -> None:
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
        status, answer = raw(oci, f"{method} /v2/web/{target}/{part} HTTP/1.1\r\nContent-Length: 0".encode())
        assert status in (400, 404, 405), (method, status)
        assert b"X-Evil" not in answer.partition(b"\r\n\r\n")[0]
        if method != "HEAD":
            errors = json.loads(answer.partition(b"\r\n\r\n")[2])["errors"]
            assert {error["code"] for error in errors} <= LEGAL


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v2/ HTTP/1.1\r\nX-Long: " + b"x" * 200_000,
        b"GET /v2/" + b"x" * 200_000 + b" HTTP/1.1",
        b"GET /v2/ HTTP/1.1\r\n" + b"\r\n".join(b"X-%d: y" % number for number in range(5000)),
        b"GET /v2/\xff\xfe/tags/list HTTP/1.1",
        b"GET /v2/ HTTP/1.1\r\nX-Bytes: \xff\xfe",
        b"GET /v2/ HTTP/1.1\r\nRange: \xff",
        b"GET /v2/web/tags/list?n=\xff HTTP/1.1",
        b"PUT /v2/web/manifests/v1 HTTP/1.1\r\nContent-Length: -1",
        b"PUT /v2/web/manifests/v1 HTTP/1.1\r\nContent-Length: 99999999999999999999999",
        b"NONSENSE",
        b"\x16\x03\x01\x02",
    ],
)
def test_a_request_that_is_hardly_one_ends_without_a_500(oci: RegistryClient, head: bytes) -> None:
    status, _ = raw(oci, head)
    assert status < 500
    assert oci.call("GET", "/v2/").status_code == 200


@pytest.mark.parametrize("header", ["Content-Type", "If-Range", "Range", "If-None-Match", "Content-Range"])
@pytest.mark.parametrize("value", [b"\xff\xfe", b"x" * 30_000, b"bytes=" + b"0-0," * 5000, b"\x80-\x81"])
def test_nonsense_in_a_header_is_no_500(oci: RegistryClient, header: str, value: bytes) -> None:
    digest = oci.push_blob("web", DATA)
    location = oci.call("POST", "web/blobs/uploads/").headers["Location"]
    line = header.encode() + b": " + value
    for head in (
        f"GET /v2/web/blobs/{digest} HTTP/1.1",
        f"PUT {location}?digest={digest} HTTP/1.1\r\nContent-Length: 0",
        f"PATCH {location} HTTP/1.1\r\nContent-Length: 0",
        "PUT /v2/web/manifests/v1 HTTP/1.1\r\nContent-Length: 0",
    ):
        status, _ = raw(oci, head.encode() + b"\r\n" + line)
        assert status < 500


@pytest.mark.parametrize("way", ["post", "put", "manifest"])
def test_a_truncated_body_leaves_nothing_to_be_seen(oci: RegistryClient, way: str) -> None:
    oci.push_blob("web", b"{}")
    digest, body = sha256(DATA), DATA
    if way == "manifest":
        body = json.dumps(image_of()).encode()
        digest = sha256(body)
        line = f"PUT /v2/web/manifests/v1 HTTP/1.1\r\nContent-Type: {OCI_MANIFEST}"
    elif way == "put":
        location = oci.call("POST", "web/blobs/uploads/").headers["Location"]
        line = f"PUT {location}?digest={digest} HTTP/1.1"
    else:
        line = f"POST /v2/web/blobs/uploads/?digest={digest} HTTP/1.1"
    status, _ = raw(oci, f"{line}\r\nContent-Length: {len(body)}".encode(), body[:-1], hang_up=True)
    assert status < 500
    assert oci.call("HEAD", f"web/blobs/{digest}").status_code == 404
    assert oci.call("HEAD", "web/manifests/v1").status_code == 404
    assert oci.call("GET", "web/tags/list").json()["tags"] == []


def test_a_body_that_goes_on_beyond_its_length_is_cut_there(oci: RegistryClient) -> None:
    digest = sha256(DATA)
    line = f"POST /v2/web/blobs/uploads/?digest={digest} HTTP/1.1\r\nContent-Length: {len(DATA)}"
    status, _ = raw(oci, line.encode(), DATA + b"more than was announced")
    assert status == 201
    assert oci.call("GET", f"web/blobs/{digest}").content == DATA


@pytest.mark.parametrize("length", [99, 101])
def test_a_stream_that_is_not_as_long_as_its_range_is_told_so(oci: RegistryClient, length: int) -> None:
    location = oci.call("POST", "web/blobs/uploads/").headers["Location"]
    given = {"data": iter([DATA[:50], DATA[50:length]]), "headers": {"Content-Range": "0-99"}}
    answer = oci.call("PATCH", location, **given)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "SIZE_INVALID")
    # What belongs to the range was taken, and no byte beyond it; the session goes on.
    arrived = min(length, 100)
    assert answer.headers["Range"] == f"0-{arrived - 1}"
    rest = {"Content-Range": f"{arrived}-{len(DATA) - 1}"}
    done = oci.call("PUT", f"{location}?digest={sha256(DATA)}", data=DATA[arrived:], headers=rest)
    assert done.status_code == 201


def test_a_put_that_is_not_as_long_as_its_range_makes_no_blob(oci: RegistryClient) -> None:
    location = oci.call("POST", "web/blobs/uploads/").headers["Location"]
    digest = sha256(DATA[:50])
    answer = oci.call("PUT", f"{location}?digest={digest}", data=iter([DATA[:50]]), headers={"Content-Range": "0-99"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "SIZE_INVALID")
    assert oci.call("HEAD", f"web/blobs/{digest}").status_code == 404
    assert oci.call("GET", location).headers["Range"] == "0-49"


def test_an_abandoned_session_expires_with_its_bytes(tmp_path: Path) -> None:
    clock = ManualClock()
    storage = MemoryStorage(clock=clock)
    with running_registry(tmp_path, clock=clock, storage=storage) as oci:
        oci.make_repository("web")
        # The token ends before the session does.
        location = oci.call("POST", "web/blobs/uploads/").headers["Location"]
        oci.call("PATCH", location, data=DATA)
        clock.tick(seconds=ABANDONED_AFTER.total_seconds() + 1)
        oci.session.auth = ("AWS", oci.token())
        kept = oci.call("POST", "web/blobs/uploads/").headers["Location"]
        expired = oci.call("GET", location)
        assert (expired.status_code, expired.json()["errors"][0]["code"]) == (404, "BLOB_UPLOAD_UNKNOWN")
        assert oci.call("GET", kept).status_code == 204
        assert [upload for upload, _ in storage.uploads()] == [kept.rpartition("/")[2]]


def test_a_session_in_use_does_not_expire(tmp_path: Path) -> None:
    clock = ManualClock()
    with running_registry(tmp_path, clock=clock, storage=MemoryStorage(clock=clock)) as oci:
        oci.make_repository("web")
        location = oci.call("POST", "web/blobs/uploads/").headers["Location"]
        for start in range(0, len(DATA), 1000):
            clock.tick(seconds=(ABANDONED_AFTER - timedelta(hours=1)).total_seconds())
            oci.session.auth = ("AWS", oci.token())
            oci.call("POST", "web/blobs/uploads/")
            assert oci.call("PATCH", location, data=DATA[start : start + 1000]).status_code == 202
        assert oci.call("PUT", f"{location}?digest={sha256(DATA)}").status_code == 201
