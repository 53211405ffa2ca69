"""What only the S3 driver has: pieces that become parts, conditions in place of locks, and links."""

import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest

from kit.settings import BadSetting, Settings
from orchestrator.app import make_storage
from registry.storage import Busy, StorageError
from registry.storage.s3 import SMALLEST_PART, Bucket, S3Storage
from tests.support.registry import running_registry, sha256

UPLOAD = "7a5c0f4e-0000-4000-8000-000000000001"
MIB = 1024 * 1024


def pattern(length: int) -> bytes:
    return bytes(range(251)) * (length // 251) + bytes(length % 251)


@pytest.mark.parametrize(
    "sizes", [[6, 6, 1], [1, 6, 1, 1], [1] * 9, [6], [6, 5]], ids=lambda sizes: "+".join(map(str, sizes))
)
def test_pieces_of_any_size_become_the_blob(s3_bucket: Bucket, sizes: list[int]) -> None:
    storage = S3Storage(s3_bucket, piece=6 * MIB)
    data = pattern(sum(sizes) * MIB)
    storage.start(UPLOAD)
    at = 0
    for size in sizes:
        with storage.append(UPLOAD, at=at) as spool:
            spool.write(data[at : at + size * MIB])
        at += size * MIB
    storage.keep(UPLOAD, sha256(data))
    with storage.open(sha256(data)) as file:
        assert file.read() == data
        file.seek(7 * MIB // 2)
        assert file.read(10) == data[7 * MIB // 2 :][:10]


def test_another_process_continues_an_upload(s3_bucket: Bucket) -> None:
    first, second = S3Storage(s3_bucket), S3Storage(s3_bucket)
    first.start(UPLOAD)
    with first.append(UPLOAD) as spool:
        spool.write(b"one ")
    with second.append(UPLOAD, at=4) as spool:
        spool.write(b"two")
    first.keep(UPLOAD, sha256(b"one two"))
    assert second.size(sha256(b"one two")) == 7


def test_of_two_processes_that_write_at_once_one_is_refused_and_nothing_is_mixed(s3_bucket: Bucket) -> None:
    first, second = S3Storage(s3_bucket), S3Storage(s3_bucket)
    first.start(UPLOAD)
    with pytest.raises(Busy), first.append(UPLOAD) as mine:
        mine.write(b"mine")
        with second.append(UPLOAD) as theirs:
            theirs.write(b"theirs")
    with first.read_upload(UPLOAD) as file:
        assert file.read() == b"theirs"


def test_a_link_reads_the_blob_without_credentials(s3_bucket: Bucket) -> None:
    storage = S3Storage(s3_bucket)
    storage.start(UPLOAD)
    with storage.append(UPLOAD) as spool:
        spool.write(b"data")
    storage.keep(UPLOAD, sha256(b"data"))
    with urllib.request.urlopen(storage.link(sha256(b"data"), lasts=timedelta(minutes=5)), timeout=10) as answer:
        assert answer.read() == b"data"


def test_a_store_that_is_not_there_is_told(s3_bucket: Bucket) -> None:
    nowhere = S3Storage(Bucket(name="none", endpoint=s3_bucket.endpoint, access_key_id="a", secret_access_key="b"))
    with pytest.raises(StorageError, match="NoSuchBucket"):
        nowhere.start(UPLOAD)


def test_images_are_pushed_and_pulled_over_s3(s3_bucket: Bucket, tmp_path: Path) -> None:
    storage = S3Storage(s3_bucket)
    with running_registry(tmp_path, storage=storage) as registry:
        registry.make_repository("web")
        layer = pattern(2 * SMALLEST_PART)
        digest = registry.push_image("web", "v1", layer=layer)
        # Clients are sent to the store itself, with a link that needs no credentials.
        sent = registry.call("GET", f"web/blobs/{sha256(layer)}")
        assert sent.status_code == 307
        with urllib.request.urlopen(sent.headers["Location"], timeout=10) as answer:
            assert answer.read() == layer
        assert sha256(registry.call("GET", "web/manifests/v1").content) == digest
        assert list(storage.uploads()) == []


def test_blobs_pass_through_the_registry_where_clients_cannot_reach_the_store(
    s3_bucket: Bucket, tmp_path: Path
) -> None:
    with running_registry(tmp_path, storage=S3Storage(s3_bucket), blob_delivery="proxy") as registry:
        registry.make_repository("web")
        layer = pattern(2 * SMALLEST_PART)
        registry.push_blob("web", layer)
        assert registry.call("GET", f"web/blobs/{sha256(layer)}").content == layer
        part = registry.call("GET", f"web/blobs/{sha256(layer)}", headers={"Range": "bytes=500-1499"})
        assert (part.status_code, part.content) == (206, layer[500:1500])


def test_the_setting_chooses_the_bucket_and_nonsense_is_refused(s3_bucket: Bucket) -> None:
    given = Settings(
        storage=f"s3://{s3_bucket.name}/registry",
        s3_endpoint=str(s3_bucket.endpoint),
        s3_access_key_id="AKIATESTS3",
        s3_secret_access_key="secret",
    )
    storage = make_storage(given)
    storage.start(UPLOAD)
    assert S3Storage(s3_bucket).offset(UPLOAD) == 0
    for wrong in (Settings(storage="gs://bucket"), Settings(storage="s3://"), Settings(storage="/var/blobs")):
        with pytest.raises(BadSetting, match="BERTH_STORAGE"):
            make_storage(wrong)
    with pytest.raises(BadSetting, match="go together"):
        make_storage(Settings(storage="s3://bucket", s3_access_key_id="a"))
