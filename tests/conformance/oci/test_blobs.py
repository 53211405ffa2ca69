"""Blobs over HTTP, as the OCI distribution specification has them."""

import email
from collections.abc import Callable

import pytest

from tests.support.registry import RegistryClient, sha256, sha512

BLOB = bytes(range(256)) * 8


@pytest.mark.parametrize("digest_of", [sha256, sha512])
@pytest.mark.parametrize("data", [b"", b"{}", BLOB])
def test_a_blob_pushed_in_one_post_is_pullable_at_its_location(
    oci: RegistryClient, data: bytes, digest_of: Callable[[bytes], str]
) -> None:
    digest = digest_of(data)
    pushed = oci.call("POST", f"web/blobs/uploads/?digest={digest}", data=data)
    assert pushed.status_code == 201
    assert pushed.headers["Docker-Content-Digest"] == digest
    pulled = oci.call("GET", pushed.headers["Location"])
    assert (pulled.status_code, pulled.content) == (200, data)
    assert pulled.headers["Docker-Content-Digest"] == digest
    head = oci.call("HEAD", f"web/blobs/{digest}")
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(data)))


@pytest.mark.parametrize(
    ("asked", "content", "where"),
    [
        ("bytes=500-1499", BLOB[500:1500], "bytes 500-1499/2048"),
        ("bytes=500-", BLOB[500:], "bytes 500-2047/2048"),
        ("bytes=-500", BLOB[-500:], "bytes 1548-2047/2048"),
        ("bytes=-5000", BLOB, "bytes 0-2047/2048"),
        ("bytes=2000-5000", BLOB[2000:], "bytes 2000-2047/2048"),
        ("bytes=0-0", BLOB[:1], "bytes 0-0/2048"),
        ("bytes=100-199,150-249", BLOB[100:250], "bytes 100-249/2048"),
        ("bytes=10-19,9999-", BLOB[10:20], "bytes 10-19/2048"),
    ],
)
def test_a_part_of_a_blob_is_sent_alone(oci: RegistryClient, asked: str, content: bytes, where: str) -> None:
    digest = oci.push_blob("web", BLOB)
    answer = oci.call("GET", f"web/blobs/{digest}", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, content)
    assert answer.headers["Content-Range"] == where
    assert answer.headers["Content-Length"] == str(len(content))


@pytest.mark.parametrize("asked", ["bytes=500-0", "bytes=5000-10000", "bytes=2048-", "bytes=-0", "bytes=-"])
def test_a_part_outside_of_the_blob_is_refused(oci: RegistryClient, asked: str) -> None:
    digest = oci.push_blob("web", BLOB)
    answer = oci.call("GET", f"web/blobs/{digest}", headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == "bytes */2048"


@pytest.mark.parametrize("asked", ["lines=1-2", "rubbish", "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 200, 2))])
def test_a_range_that_is_not_understood_or_too_much_is_ignored(oci: RegistryClient, asked: str) -> None:
    digest = oci.push_blob("web", BLOB)
    answer = oci.call("GET", f"web/blobs/{digest}", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, BLOB)


def test_several_parts_of_a_blob_are_sent_as_a_multipart_answer(oci: RegistryClient) -> None:
    digest = oci.push_blob("web", BLOB)
    answer = oci.call("GET", f"web/blobs/{digest}", headers={"Range": "bytes=-10, 0-99, 500-1499"})
    assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (206, digest)
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert "Content-Range" not in answer.headers
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + answer.content).walk()
    found = [(part["Content-Range"], part.get_payload(decode=True)) for part in parts if not part.is_multipart()]
    assert found == [
        ("bytes 2038-2047/2048", BLOB[-10:]),
        ("bytes 0-99/2048", BLOB[:100]),
        ("bytes 500-1499/2048", BLOB[500:1500]),
    ]


def test_a_range_is_honoured_only_if_the_blob_is_the_one_that_is_meant(oci: RegistryClient) -> None:
    digest = oci.push_blob("web", BLOB)
    for condition, status in (
        (f'"{digest}"', 206),
        (f'"{sha256(b"other")}"', 200),
        ("Mon, 23 Nov 2026 10:00:00 GMT", 200),
    ):
        headers = {"Range": "bytes=0-9", "If-Range": condition}
        assert oci.call("GET", f"web/blobs/{digest}", headers=headers).status_code == status


def test_a_head_pays_no_heed_to_a_range(oci: RegistryClient) -> None:
    digest = oci.push_blob("web", BLOB)
    for asked in ("bytes=0-9", "bytes=5000-", "bytes=0-1,3-4"):
        head = oci.call("HEAD", f"web/blobs/{digest}", headers={"Range": asked})
        assert (head.status_code, head.headers["Content-Length"]) == (200, "2048")
        assert head.headers["Accept-Ranges"] == "bytes"


def test_of_an_empty_blob_there_is_no_part(oci: RegistryClient) -> None:
    digest = oci.push_blob("web", b"")
    for asked in ("bytes=0-", "bytes=-1", "bytes=0-0"):
        answer = oci.call("GET", f"web/blobs/{digest}", headers={"Range": asked})
        assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */0")


def test_a_large_blob_arrives_and_leaves_whole(oci: RegistryClient) -> None:
    data = BLOB * 4096 + b"odd end"
    digest = oci.push_blob("web", data)
    assert sha256(oci.call("GET", f"web/blobs/{digest}").content) == digest


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_an_unknown_blob_is_404(oci: RegistryClient, method: str) -> None:
    answer = oci.call(method, f"web/blobs/{sha256(b'never pushed')}")
    assert answer.status_code == 404
    if method != "HEAD":
        assert answer.json()["errors"][0]["code"] == "BLOB_UNKNOWN"


@pytest.mark.parametrize("digest", ["sha256:baddigeststring", "md5:" + "0" * 32, "sha256:" + "A" * 64, "sha256"])
def test_a_digest_that_is_none_is_400(oci: RegistryClient, digest: str) -> None:
    assert oci.call("GET", f"web/blobs/{digest}").status_code == 400
    pushed = oci.call("POST", f"web/blobs/uploads/?digest={digest}", data=b"x")
    assert (pushed.status_code, pushed.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")


def test_a_deleted_blob_is_gone_here_at_once_and_stays_elsewhere(oci: RegistryClient) -> None:
    digest = oci.push_blob("web", BLOB)
    assert oci.push_blob("other", BLOB) == digest
    assert oci.call("DELETE", f"web/blobs/{digest}").status_code == 202
    assert oci.call("HEAD", f"web/blobs/{digest}").status_code == 404
    assert oci.call("DELETE", f"web/blobs/{digest}").status_code == 404
    assert oci.call("GET", f"other/blobs/{digest}").content == BLOB
    assert oci.push_blob("web", BLOB) == digest
    assert oci.call("GET", f"web/blobs/{digest}").content == BLOB


def test_a_blob_is_visible_only_where_it_was_pushed(oci: RegistryClient) -> None:
    digest = oci.push_blob("web", BLOB)
    assert oci.call("GET", f"other/blobs/{digest}").status_code == 404


def test_a_blob_whose_bytes_were_lost_is_404_and_can_be_pushed_again(oci: RegistryClient) -> None:
    digest = oci.push_blob("web", BLOB)
    oci.storage.delete(digest)
    assert oci.call("HEAD", f"web/blobs/{digest}").status_code == 404
    assert oci.call("GET", f"web/blobs/{digest}").status_code == 404
    oci.push_blob("web", BLOB)
    assert oci.call("GET", f"web/blobs/{digest}").content == BLOB


@pytest.mark.parametrize("source", ["&from=web", ""])
def test_a_blob_is_mounted_from_another_repository(oci: RegistryClient, source: str) -> None:
    digest = oci.push_blob("web", BLOB)
    mounted = oci.call("POST", f"other/blobs/uploads/?mount={digest}{source}")
    assert mounted.status_code == 201
    assert oci.call("GET", mounted.headers["Location"]).content == BLOB


def test_an_unknown_blob_is_not_mounted_but_can_be_uploaded(oci: RegistryClient) -> None:
    digest = sha256(BLOB)
    answer = oci.call("POST", f"other/blobs/uploads/?mount={digest}&from=web")
    assert answer.status_code == 202
    assert oci.call("PUT", f"{answer.headers['Location']}?digest={digest}", data=BLOB).status_code == 201


def test_who_may_not_read_layers_mounts_none(oci: RegistryClient) -> None:
    digest = oci.push_blob("web", BLOB)
    password = oci.token(actions=["ecr:InitiateLayerUpload"], key_id="AKIAPUSH")
    answer = oci.call("POST", f"other/blobs/uploads/?mount={digest}&from=web", auth=("AWS", password))
    assert answer.status_code == 202
    assert oci.call("HEAD", f"other/blobs/{digest}").status_code == 404
