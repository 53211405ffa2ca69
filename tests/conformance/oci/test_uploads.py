"""Upload sessions over HTTP, as the OCI distribution specification has them."""

import base64
import json
import socket
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.support.registry import RegistryClient, sha256, sha512

DATA = bytes(range(256)) * 16


def begin(oci: RegistryClient, name: str = "web") -> str:
    answer = oci.call("POST", f"{name}/blobs/uploads/")
    assert answer.status_code == 202
    return answer.headers["Location"]


def patch(oci: RegistryClient, location: str, first: int, last: int) -> requests.Response:
    return oci.call("PATCH", location, data=DATA[first : last + 1], headers={"Content-Range": f"{first}-{last}"})


@pytest.mark.parametrize("digest_of", [sha256, sha512])
def test_chunks_in_order_become_a_blob(oci: RegistryClient, digest_of: Callable[[bytes], str]) -> None:
    location = begin(oci)
    for first in range(0, 3072, 1024):
        answer = patch(oci, location, first, first + 1023)
        assert (answer.status_code, answer.headers["Range"]) == (202, f"0-{first + 1023}")
        location = answer.headers["Location"]
    digest = digest_of(DATA)
    done = oci.call("PUT", f"{location}?digest={digest}", data=DATA[3072:], headers={"Content-Range": "3072-4095"})
    assert (done.status_code, done.headers["Docker-Content-Digest"]) == (201, digest)
    assert oci.call("GET", done.headers["Location"]).content == DATA
    assert oci.call("GET", location).status_code == 404


def test_a_stream_of_unknown_length_becomes_a_blob(oci: RegistryClient) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield DATA * 20

    location = begin(oci)
    answer = oci.call("PATCH", location, data=pieces())
    assert (answer.status_code, answer.headers["Range"]) == (202, f"0-{len(DATA) * 800 - 1}")
    digest = sha256(DATA * 800)
    assert oci.call("PUT", f"{location}?digest={digest}").status_code == 201
    assert oci.call("HEAD", f"web/blobs/{digest}").headers["Content-Length"] == str(len(DATA) * 800)


def test_a_session_takes_everything_with_its_put(oci: RegistryClient) -> None:
    done = oci.call("PUT", f"{begin(oci)}?digest={sha256(DATA)}", data=DATA)
    assert oci.call("GET", done.headers["Location"]).content == DATA


def test_the_status_of_a_session_tells_how_much_has_arrived(oci: RegistryClient) -> None:
    location = begin(oci)
    empty = oci.call("GET", location)
    assert (empty.status_code, empty.headers["Range"]) == (204, "0-0")
    patch(oci, location, 0, 99)
    answer = oci.call("GET", location)
    assert (answer.status_code, answer.headers["Range"], answer.headers["Location"]) == (204, "0-99", location)


@pytest.mark.parametrize(("first", "last"), [(200, 299), (50, 149), (0, 99)])
def test_after_a_chunk_out_of_order_the_session_goes_on(oci: RegistryClient, first: int, last: int) -> None:
    location = begin(oci)
    patch(oci, location, 0, 99)
    refused = patch(oci, location, first, last)
    assert (refused.status_code, refused.headers["Range"]) == (416, "0-99")
    assert oci.call("GET", location).headers["Range"] == "0-99"
    final = {"Content-Range": "300-4095"}
    digest = sha256(DATA)
    assert oci.call("PUT", f"{location}?digest={digest}", data=DATA[300:], headers=final).status_code == 416
    assert patch(oci, location, 100, 4095).status_code == 202
    assert oci.call("PUT", f"{location}?digest={digest}").status_code == 201


def test_the_first_chunk_out_of_order_is_refused_too(oci: RegistryClient) -> None:
    location = begin(oci)
    assert patch(oci, location, 100, 199).status_code == 416
    assert oci.call("GET", location).headers["Range"] == "0-0"


@pytest.mark.parametrize("said", ["bytes 0-9", "0", "9-0", "-5", "a-b", "0-9/10"])
def test_a_content_range_that_is_none_is_400(oci: RegistryClient, said: str) -> None:
    answer = oci.call("PATCH", begin(oci), data=DATA[:10], headers={"Content-Range": said})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "BLOB_UPLOAD_INVALID")


def test_a_content_range_that_does_not_fit_the_body_is_400(oci: RegistryClient) -> None:
    location = begin(oci)
    answer = oci.call("PATCH", location, data=DATA[:10], headers={"Content-Range": "0-10"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "SIZE_INVALID")
    assert oci.call("GET", location).headers["Range"] == "0-0"


@pytest.mark.parametrize("way", ["post", "put", "patch, put", "stream, put", "chunk, put with chunk"])
def test_bytes_that_are_not_the_digest_are_refused_in_every_way_of_pushing(oci: RegistryClient, way: str) -> None:
    wrong = sha256(b"other bytes")
    if way == "post":
        answer = oci.call("POST", f"web/blobs/uploads/?digest={wrong}", data=DATA)
    else:
        location = begin(oci)
        if way in ("patch, put", "chunk, put with chunk"):
            patch(oci, location, 0, 99)
        elif way == "stream, put":
            oci.call("PATCH", location, data=iter([DATA[:50], DATA[50:]]))
        last = DATA if way == "put" else DATA[100:] if way == "chunk, put with chunk" else b""
        answer = oci.call("PUT", f"{location}?digest={wrong}", data=last)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert oci.call("HEAD", f"web/blobs/{wrong}").status_code == 404
    assert oci.call("HEAD", f"web/blobs/{sha256(DATA)}").status_code == 404
    assert list(oci.storage.uploads()) == []


def half_a_patch(oci: RegistryClient, location: str) -> socket.socket:
    """A connection on which ten bytes of a hundred were sent."""
    host, _, port = oci.address.partition(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    token = base64.b64encode(f"AWS:{oci.password}".encode()).decode()
    head = (
        f"PATCH {location} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {token}\r\n"
        "Content-Length: 100\r\nContent-Range: 0-99\r\n\r\n"
    )
    connection.sendall(head.encode() + DATA[:10])
    return connection


def test_a_body_that_stops_arriving_frees_its_session_and_counts(
    oci: RegistryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = begin(oci)
    with monkeypatch.context() as patience:
        patience.setattr("registry.http.bodies.STALLED_AFTER", 0.2)
        with half_a_patch(oci, location) as stalled:
            assert stalled.recv(100).startswith(b"HTTP/1.1 408")
    assert oci.call("GET", location).headers["Range"] == "0-9"
    assert patch(oci, location, 10, 4095).status_code == 202


def test_after_the_client_hung_up_the_session_goes_on_from_what_arrived(oci: RegistryClient) -> None:
    location = begin(oci)
    half_a_patch(oci, location).close()
    upload = location.rpartition("/")[2]
    # The server hears of it a little later; then the session is free.
    answers = (patch(oci, location, oci.storage.offset(upload), 4095).status_code for _ in range(100))
    assert next(status for status in answers if status not in (409, 416)) == 202
    assert oci.call("PUT", f"{location}?digest={sha256(DATA)}").status_code == 201


def test_a_put_without_a_digest_is_400(oci: RegistryClient) -> None:
    assert oci.call("PUT", begin(oci), data=DATA).status_code == 400


def test_a_cancelled_session_is_gone_with_its_bytes(oci: RegistryClient) -> None:
    location = begin(oci)
    patch(oci, location, 0, 99)
    assert oci.call("DELETE", location).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = oci.call(method, location, data=b"x")
        assert answer.status_code == 404
    assert json.loads(answer.text)["errors"][0]["code"] == "BLOB_UPLOAD_UNKNOWN"
    assert list(oci.storage.uploads()) == []


def test_a_session_is_of_its_repository_alone(oci: RegistryClient) -> None:
    location = begin(oci)
    assert oci.call("GET", location.replace("/web/", "/other/")).status_code == 404


@pytest.mark.parametrize("upload", ["nonsense", "..%2F..%2Fetc", "%00", "%ff", "00000000-0000-4000-8000-000000000000"])
def test_an_unknown_session_is_404(oci: RegistryClient, upload: str) -> None:
    assert oci.call("PATCH", f"web/blobs/uploads/{upload}", data=b"x").status_code == 404


def test_pushing_to_an_unknown_repository_is_refused_in_ecrs_words(oci: RegistryClient) -> None:
    answer = oci.call("POST", "nope/blobs/uploads/")
    assert answer.status_code == 404
    (error,) = answer.json()["errors"]
    assert error["code"] == "NAME_UNKNOWN"
    assert error["message"] == ("The repository with name 'nope' does not exist in the registry with id '123456789012'")
