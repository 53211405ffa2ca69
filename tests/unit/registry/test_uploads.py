"""Uploads: what survives a crash between any two steps, a full disk, and being forgotten."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from kit.clock import ManualClock
from registry.errors import (
    BlobUploadUnknown,
    DigestInvalid,
    NameUnknown,
    OutOfOrder,
    StorageFull,
    UploadBusy,
)
from registry.storage import Storage
from registry.storage.filesystem import FilesystemStorage
from registry.storage.memory import MemoryStorage
from registry.uploads import Incoming, Uploads
from state.base import Base
from state.blobs import Blob, get_blob
from state.repositories import Repository, delete_repository
from state.store import Store
from state.uploads import Upload
from tests.support.registry import sha256, sha512

DATA = b"0123456789" * 1000


# The storage's own times are the machine's; this far on, everything in it is old.
FAR = 30_000


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'berth.db'}")
    Base.metadata.create_all(store.engine)
    store.transact(lambda session: session.add(Repository(name="web", created_at=clock.now())))
    yield store
    store.close()


@pytest.fixture
def storage(tmp_path: Path) -> FilesystemStorage:
    return FilesystemStorage(tmp_path / "registry")


def open_uploads(store: Store, storage: Storage, clock: ManualClock) -> Uploads:
    """As a process that has just started sees them."""
    return Uploads(store, storage, clock=clock, account="123456789012")


@pytest.fixture
def uploads(store: Store, storage: FilesystemStorage, clock: ManualClock) -> Uploads:
    return open_uploads(store, storage, clock)


def add(uploads: Uploads, upload: str, data: bytes, *, at: int | None = None) -> None:
    incoming = uploads.write("web", upload, at=at)
    try:
        incoming.write(data)
    finally:
        incoming.close()


def finish(uploads: Uploads, upload: str, digest: str) -> None:
    incoming = uploads.write("web", upload)
    try:
        incoming.finish(digest)
    finally:
        incoming.close()


def has_blob(store: Store, digest: str) -> bool:
    return store.read(lambda session: get_blob(session, "web", digest)) is not None


def count(store: Store, entity: type[Base]) -> int:
    return store.read(lambda session: session.scalar(select(func.count()).select_from(entity))) or 0


@pytest.mark.parametrize("digest", [sha256(DATA), sha512(DATA)])
def test_pieces_written_by_several_processes_become_one_blob(
    store: Store, storage: FilesystemStorage, clock: ManualClock, digest: str
) -> None:
    upload = open_uploads(store, storage, clock).begin("web")
    for start in range(0, len(DATA), 4000):
        add(open_uploads(store, storage, clock), upload, DATA[start : start + 4000], at=start)
    finish(open_uploads(store, storage, clock), upload, digest)
    assert has_blob(store, digest)
    assert (count(store, Upload), list(storage.uploads())) == (0, [])


def test_a_hash_of_bytes_that_another_process_continued_is_not_trusted(
    store: Store, storage: FilesystemStorage, clock: ManualClock
) -> None:
    one, other = (open_uploads(store, storage, clock) for _ in range(2))
    upload = one.begin("web")
    add(one, upload, DATA[:5000])
    add(other, upload, DATA[5000:])
    finish(one, upload, sha256(DATA))
    assert has_blob(store, sha256(DATA))


@contextmanager
def crashing(monkeypatch: pytest.MonkeyPatch, owner: type, step: str, moment: str) -> Iterator[None]:
    """The process ends just before or just after ``step``."""
    original = getattr(owner, step)

    def crash(*args: object, **given: object) -> None:
        if moment == "after":
            original(*args, **given)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, crash)
        with pytest.raises(Crash):
            yield


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("owner", "step"), [(FilesystemStorage, "start"), (Store, "transact")])
def test_a_crash_while_a_session_begins_leaves_only_what_is_swept(
    store: Store,
    storage: FilesystemStorage,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    step: str,
    moment: str,
) -> None:
    with crashing(monkeypatch, owner, step, moment):
        open_uploads(store, storage, clock).begin("web")
    clock.tick(days=FAR)
    open_uploads(store, storage, clock).sweep()
    assert (count(store, Upload), list(storage.uploads())) == (0, [])


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("owner", "step"), [(FilesystemStorage, "keep"), (Store, "transact"), (FilesystemStorage, "drop")]
)
def test_a_crash_while_a_session_ends_loses_nothing_and_the_end_can_be_repeated(
    store: Store,
    storage: FilesystemStorage,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    step: str,
    moment: str,
) -> None:
    digest = sha256(DATA)
    upload = open_uploads(store, storage, clock).begin("web")
    add(open_uploads(store, storage, clock), upload, DATA)
    with crashing(monkeypatch, owner, step, moment):
        finish(open_uploads(store, storage, clock), upload, digest)
    # A blob that the store knows has its bytes, wherever it stopped.
    known = has_blob(store, digest)
    assert not known or storage.size(digest) == len(DATA)
    if known:
        with pytest.raises(BlobUploadUnknown):
            finish(open_uploads(store, storage, clock), upload, digest)
    else:
        finish(open_uploads(store, storage, clock), upload, digest)
    with storage.open(digest) as file:
        assert file.read() == DATA
    assert (has_blob(store, digest), count(store, Blob)) == (True, 1)
    clock.tick(days=FAR)
    open_uploads(store, storage, clock).sweep()
    assert (count(store, Upload), list(storage.uploads())) == (0, [])
    assert storage.size(digest) == len(DATA)


def test_after_a_crash_nothing_can_be_added_to_what_is_a_blob_already(
    store: Store, storage: FilesystemStorage, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = uploads.begin("web")
    add(uploads, upload, DATA)
    storage.keep(upload, sha256(DATA))
    with pytest.raises(UploadBusy):
        add(uploads, upload, b"more")
    finish(uploads, upload, sha256(DATA))
    with storage.open(sha256(DATA)) as file:
        assert file.read() == DATA


def test_wrong_bytes_end_the_session_and_leave_nothing(
    store: Store, storage: FilesystemStorage, uploads: Uploads
) -> None:
    upload = uploads.begin("web")
    add(uploads, upload, DATA)
    with pytest.raises(DigestInvalid) as caught:
        finish(uploads, upload, sha256(b"other"))
    assert caught.value.details == ({"provided": sha256(b"other"), "uploaded": sha256(DATA)},)
    assert (count(store, Blob), count(store, Upload), list(storage.uploads())) == (0, 0, [])


def test_a_session_has_one_writer(uploads: Uploads) -> None:
    upload = uploads.begin("web")
    first = uploads.write("web", upload)
    with pytest.raises(UploadBusy):
        uploads.write("web", upload)
    first.write(DATA)
    first.close()
    with pytest.raises(OutOfOrder) as caught:
        uploads.write("web", upload, at=0)
    assert caught.value.headers["Range"] == "0-9999"


def test_on_a_full_disk_what_arrived_stays_and_the_upload_goes_on_when_there_is_room(
    store: Store, clock: ManualClock
) -> None:
    storage = MemoryStorage(room=6000, clock=clock)
    uploads = open_uploads(store, storage, clock)
    upload = uploads.begin("web")
    add(uploads, upload, DATA[:4000])
    with pytest.raises(StorageFull) as caught:
        add(uploads, upload, DATA[4000:], at=4000)
    assert caught.value.headers["Range"] == "0-5999"
    storage.room = 50_000
    add(uploads, upload, DATA[6000:], at=uploads.offset("web", upload))
    finish(uploads, upload, sha256(DATA))
    assert has_blob(store, sha256(DATA))


def test_a_real_full_file_is_a_full_disk(store: Store, uploads: Uploads, limited_files: int) -> None:
    upload = uploads.begin("web")
    with pytest.raises(StorageFull):
        add(uploads, upload, b"x" * (limited_files + 1))
    assert uploads.offset("web", upload) == limited_files


@pytest.fixture
def limited_files(store: Store) -> Iterator[int]:
    """Files of this process may not grow beyond this: writing further fails as on a full disk."""
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    most = 4 * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    yield most
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def test_a_repository_deleted_meanwhile_takes_no_blob(store: Store, uploads: Uploads) -> None:
    upload = uploads.begin("web")
    incoming = uploads.write("web", upload)
    incoming.write(DATA)
    store.transact(lambda session: delete_repository(session, "web"))
    with pytest.raises(NameUnknown):
        incoming.finish(sha256(DATA))
    incoming.close()
    assert (count(store, Blob), count(store, Upload)) == (0, 0)


def test_abandoned_sessions_and_spools_are_swept_and_young_ones_stay(store: Store, clock: ManualClock) -> None:
    storage = MemoryStorage(clock=clock)
    uploads = open_uploads(store, storage, clock)
    old, active = uploads.begin("web"), uploads.begin("web")
    lost = uploads.begin("web")
    storage.drop(lost)
    storage.start("orphan")
    clock.tick(hours=23)
    add(uploads, active, b"still coming")
    young = uploads.begin("web")
    clock.tick(hours=2)
    assert uploads.sweep() == 3
    assert {upload for upload, _ in storage.uploads()} == {active, young}
    for gone in (old, lost):
        with pytest.raises(BlobUploadUnknown):
            uploads.offset("web", gone)
    assert uploads.offset("web", active) == 12
    assert uploads.sweep() == 0


def test_layers_are_stored_once_across_repositories(
    store: Store, storage: FilesystemStorage, uploads: Uploads, tmp_path: Path, clock: ManualClock
) -> None:
    store.transact(lambda session: session.add(Repository(name="other", created_at=clock.now())))
    for name in ("web", "other"):
        upload = uploads.begin(name)
        incoming: Incoming = uploads.write(name, upload)
        incoming.write(DATA)
        incoming.finish(sha256(DATA))
        incoming.close()
    files = [path for path in (tmp_path / "registry").rglob("*") if path.is_file()]
    # Beside the identity of the storage itself.
    assert [path.name for path in files if path.name != "identity"] == [hashlib.sha256(DATA).hexdigest()]
    assert count(store, Blob) == 1


def test_a_damaged_file_is_healed_by_the_next_push(
    store: Store, storage: FilesystemStorage, uploads: Uploads, tmp_path: Path
) -> None:
    for _ in range(2):
        upload = uploads.begin("web")
        add(uploads, upload, DATA)
        finish(uploads, upload, sha256(DATA))
        with storage.open(sha256(DATA)) as file:
            assert file.read() == DATA
        (file,) = (path for path in (tmp_path / "registry" / "blobs").rglob("*") if path.is_file())
        file.write_bytes(DATA[:100])


def test_a_new_session_sweeps_what_was_abandoned(store: Store, clock: ManualClock) -> None:
    storage = MemoryStorage(clock=clock)
    uploads = open_uploads(store, storage, clock)
    uploads.begin("web")
    clock.tick(hours=25)
    newest = uploads.begin("web")
    assert [upload for upload, _ in storage.uploads()] == [newest]
