"""How the bytes of blobs leave: by a link into the storage, by nginx, or by the registry itself."""

from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kit.settings import BadSetting
from registry.http.sending import check_delivery
from registry.storage.memory import MemoryStorage
from tests.support.registry import RegistryClient, running_registry, sha256

BLOB = bytes(range(256)) * 8
DIGEST = sha256(BLOB)


class LinkedStorage(MemoryStorage):
    """A storage that has an address of its own."""

    def link(self, digest: str, *, lasts: timedelta) -> str:
        return f"http://bucket.example/{digest}?lasts={lasts.total_seconds():.0f}"


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def registry(**given: Any) -> AbstractContextManager[RegistryClient]:
        return running_registry(tmp_path, **given)

    return registry


def pushed(client: RegistryClient) -> RegistryClient:
    client.make_repository("web")
    assert client.push_blob("web", BLOB) == DIGEST
    return client


def test_a_storage_that_offers_links_is_read_there(make: Any) -> None:
    with make(storage=LinkedStorage()) as client:
        answer = pushed(client).call("GET", f"web/blobs/{DIGEST}", headers={"Range": "bytes=1-2"})
        head = client.call("HEAD", f"web/blobs/{DIGEST}")
        missing = client.call("GET", f"web/blobs/{sha256(b'other')}")
    assert answer.status_code == 307
    assert answer.headers["Location"] == f"http://bucket.example/{DIGEST}?lasts=3600"
    assert answer.headers["Docker-Content-Digest"] == DIGEST
    # A link ends, so it must not be kept for ever as the bytes may.
    assert "no-store" in answer.headers["Cache-Control"]
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(BLOB)))
    assert missing.status_code == 404


def test_links_are_not_given_out_where_the_setting_forbids_it(make: Any) -> None:
    with make(storage=LinkedStorage(), blob_delivery="proxy") as client:
        answer = pushed(client).call("GET", f"web/blobs/{DIGEST}")
    assert (answer.status_code, answer.content) == (200, BLOB)


def test_nginx_is_told_which_file_to_send(make: Any, tmp_path: Path) -> None:
    with make(blob_delivery="nginx:/blobs") as client:
        answer = pushed(client).call("GET", f"web/blobs/{DIGEST}", headers={"Range": "bytes=1-2"})
        outside = client.call("GET", f"web/blobs/{DIGEST}", headers={"Range": "bytes=9999-"})
        where = answer.headers["X-Accel-Redirect"]
        assert (tmp_path / "registry/blobs" / where.removeprefix("/blobs/")).read_bytes() == BLOB
        client.storage.delete(DIGEST)
        lost = client.call("GET", f"web/blobs/{DIGEST}")
    # Which part is nginx's to say.
    assert (answer.status_code, answer.content) == (200, b"")
    assert "Content-Range" not in answer.headers
    assert answer.headers["Docker-Content-Digest"] == DIGEST
    assert outside.status_code == 416
    assert lost.status_code == 404


@pytest.mark.parametrize("way", ["redirect", "nginx:", "nginx:blobs", "nginx:/blobs/", "nginx:/a\nX: y"])
def test_a_way_that_is_none_is_refused(way: str) -> None:
    with pytest.raises(BadSetting, match="BERTH_BLOB_DELIVERY must be"):
        check_delivery(way)
