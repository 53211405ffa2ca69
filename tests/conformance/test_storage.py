"""What every storage driver promises, tried on each of them."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry.storage import Busy, NotStored, Storage, WrongOffset
from registry.storage.filesystem import FilesystemStorage
from registry.storage.memory import MemoryStorage
from registry.storage.s3 import Bucket, S3Storage
from tests.support.registry import sha256, sha512

UPLOAD = "7a5c0f4e-0000-4000-8000-000000000001"


@pytest.fixture(params=["filesystem", "memory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    match request.param:
        case "filesystem":
            return FilesystemStorage(tmp_path / "blobs")
        case "memory":
            return MemoryStorage()
    bucket: Bucket = request.getfixturevalue("s3_bucket")
    return S3Storage(bucket)


def arrive(storage: Storage, data: bytes, upload: str = UPLOAD) -> None:
    storage.start(upload)
    with storage.append(upload) as spool:
        spool.write(data)


def read(storage: Storage, digest: str) -> bytes:
    with storage.open(digest) as file:
        return file.read()


@pytest.mark.parametrize("data", [b"", b"x", b"bytes" * 700_000])
@pytest.mark.parametrize("digest_of", [sha256, sha512])
def test_what_was_kept_is_read_back(storage: Storage, data: bytes, digest_of: Callable[[bytes], str]) -> None:
    digest = digest_of(data)
    arrive(storage, data)
    assert storage.size(digest) is None
    storage.keep(UPLOAD, digest)
    assert storage.size(digest) == len(data)
    assert read(storage, digest) == data


def test_a_blob_can_be_read_from_its_middle(storage: Storage) -> None:
    arrive(storage, b"0123456789")
    storage.keep(UPLOAD, sha256(b"0123456789"))
    with storage.open(sha256(b"0123456789")) as file:
        file.seek(4)
        assert file.read(3) == b"456"


def test_keeping_and_dropping_may_be_repeated(storage: Storage) -> None:
    digest = sha256(b"data")
    arrive(storage, b"data")
    storage.keep(UPLOAD, digest)
    storage.keep(UPLOAD, digest)
    storage.drop(UPLOAD)
    storage.drop(UPLOAD)
    assert read(storage, digest) == b"data"


def test_keeping_a_blob_that_is_kept_already_changes_nothing(storage: Storage) -> None:
    digest = sha256(b"data")
    other = UPLOAD.replace("1", "2")
    for upload in (UPLOAD, other):
        arrive(storage, b"data", upload)
        storage.keep(upload, digest)
        storage.drop(upload)
    assert read(storage, digest) == b"data"


def test_a_spool_grows_and_tells_its_size(storage: Storage) -> None:
    storage.start(UPLOAD)
    assert storage.offset(UPLOAD) == 0
    for piece in (b"ab", b"", b"cde"):
        with storage.append(UPLOAD) as spool:
            spool.write(piece)
    assert storage.offset(UPLOAD) == 5
    with storage.read_upload(UPLOAD) as file:
        assert file.read() == b"abcde"


def test_a_spool_can_be_read_from_its_middle_while_it_grows(storage: Storage) -> None:
    storage.start(UPLOAD)
    with storage.append(UPLOAD) as spool:
        for piece in (b"abc", b"def"):
            spool.write(piece)
            assert spool.flushed <= spool.offset
            spool.flush()
        assert spool.flushed == spool.offset == 6
        for at in range(7):
            with storage.read_upload(UPLOAD, at=at) as file:
                assert file.read() == b"abcdef"[at:]
        spool.write(b"ghi")
        shown = spool.flushed
        with storage.read_upload(UPLOAD, at=2) as file:
            assert file.read() == b"abcdefghi"[2:shown]


def test_starting_again_keeps_what_has_arrived(storage: Storage) -> None:
    arrive(storage, b"abc")
    storage.start(UPLOAD)
    assert storage.offset(UPLOAD) == 3


@pytest.mark.parametrize("at", [0, 2, 4])
def test_bytes_from_elsewhere_are_refused_and_told_where_the_spool_ends(storage: Storage, at: int) -> None:
    arrive(storage, b"abc")
    with pytest.raises(WrongOffset) as caught, storage.append(UPLOAD, at=at):
        pass
    assert caught.value.offset == 3
    with storage.append(UPLOAD, at=3) as spool:
        spool.write(b"d")
    assert storage.offset(UPLOAD) == 4


def test_two_writers_never_have_one_spool(storage: Storage) -> None:
    storage.start(UPLOAD)
    with storage.append(UPLOAD), pytest.raises(Busy), storage.append(UPLOAD):
        pass
    with storage.append(UPLOAD) as spool:
        spool.write(b"free again")


def test_of_many_writers_at_one_offset_one_writes(storage: Storage) -> None:
    storage.start(UPLOAD)
    start, outcomes = threading.Barrier(8), []

    def write() -> None:
        start.wait()
        try:
            with storage.append(UPLOAD, at=0) as spool:
                spool.write(b"four")
            outcomes.append("written")
        except (Busy, WrongOffset):
            outcomes.append("refused")

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 7 + ["written"]
    assert storage.offset(UPLOAD) == 4


def test_bytes_added_after_keeping_never_reach_the_blob(storage: Storage) -> None:
    digest = sha256(b"data")
    arrive(storage, b"data")
    storage.keep(UPLOAD, digest)
    try:
        with storage.append(UPLOAD) as spool:
            spool.write(b"more")
    except Busy:
        pass
    assert read(storage, digest) == b"data"


def test_what_is_not_there_is_said_to_be_absent(storage: Storage) -> None:
    digest = sha256(b"nothing")
    assert storage.size(digest) is None
    storage.delete(digest)
    for ask in (storage.open, storage.offset, storage.read_upload):
        with pytest.raises(NotStored):
            ask(digest if ask == storage.open else UPLOAD)
    with pytest.raises(NotStored), storage.append(UPLOAD):
        pass
    with pytest.raises(NotStored):
        storage.keep(UPLOAD, digest)


def test_a_deleted_blob_is_gone(storage: Storage) -> None:
    digest = sha256(b"data")
    arrive(storage, b"data")
    storage.keep(UPLOAD, digest)
    storage.drop(UPLOAD)
    storage.delete(digest)
    assert storage.size(digest) is None


def test_spools_are_listed_with_their_last_change(storage: Storage) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    arrive(storage, b"abc")
    ((upload, touched_at),) = storage.uploads()
    assert upload == UPLOAD
    assert before <= touched_at <= datetime.now(UTC) + timedelta(seconds=5)
    storage.drop(UPLOAD)
    assert list(storage.uploads()) == []


def test_an_identity_is_given_once(storage: Storage) -> None:
    assert storage.identity() is None
    assert storage.identity("first") == "first"
    assert storage.identity("second") == "first"
    assert storage.identity() == "first"
