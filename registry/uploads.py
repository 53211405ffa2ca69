"""Uploads: bytes arriving in pieces, verified, and made a blob of a repository.

The order that survives a crash anywhere: the spool, its fsync, its name as a blob, one transaction with the
blob's row and link and without the session's, and last the spool's removal. A repeat of any step is harmless.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial

from kit.clock import Clock
from kit.ids import new_uuid
from registry.errors import (
    BlobUploadUnknown,
    DigestInvalid,
    NameUnknown,
    OutOfOrder,
    StorageFull,
    Unavailable,
    UploadBusy,
)
from registry.home import Home
from registry.images import find_repository
from registry.mounts import MOST_ASKED
from registry.names import Hasher, algorithm_of, check_digest, new_hasher
from registry.storage import CHUNK, Busy, NoRoom, NotStored, Spool, Storage, WrongOffset
from state.blobs import (
    Blob,
    BlobCollected,
    get_blob_anywhere,
    keep_blob,
    repositories_with,
    show_blob,
)
from state.lookups import Lookups
from state.repositories import share_repository
from state.scrubs import Standing, forget_fault, standing_of
from state.store import Session, Store
from state.uploads import (
    add_upload,
    delete_upload,
    get_upload,
    list_known_uploads,
    list_uploads_started_before,
)

# How long a session may lie untouched, and a spool without a session may lie at all.
ABANDONED_AFTER = timedelta(hours=24)
_SWEPT_EVERY = timedelta(hours=1)
_REMEMBERED = 1024
# How long a push waits for the collector to be done with the same digest.
_PAUSE = timedelta(milliseconds=100)
_PATIENCE = 50
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Uploads:
    """The upload sessions of one store and storage. Every method may be called from any thread."""

    def __init__(self, store: Store, storage: Storage, *, clock: Clock, account: str, home: Home | None = None) -> None:
        self._home = home or Home(store, storage, founds=True)
        self._store = store
        self._lookups = Lookups(store)
        self._storage = storage
        self._clock = clock
        self._account = account
        # Hashes of what has arrived here so far, by session, with their offset. A session that continues in
        # another process, or falls out of this, is hashed again from its spool at the end.
        self._hashes: OrderedDict[str, tuple[int, Hasher]] = OrderedDict()
        self._swept_at: datetime | None = None
        self._lock = threading.Lock()

    def begin(self, repository: str, *, algorithm: str = "sha256") -> str:
        """A new session's id; raises NameUnknown, StorageFull, NotAtHome.

        ``algorithm`` is the one its digest is expected to have: a hint that saves reading the bytes once more.
        What was abandoned is swept here now and then: it is sessions that leave something behind.
        """
        self._home.check()
        if self._is_sweep_due():
            self.sweep()
        upload = new_uuid()
        try:
            self._storage.start(upload)
        except NoRoom:
            raise StorageFull from None
        now = self._clock.now()

        def record(session: Session) -> None:
            self._hold(session, repository)
            add_upload(session, upload, repository, now=now)

        try:
            self._store.transact(record)
        except NameUnknown:
            self._storage.drop(upload)
            raise
        if algorithm != "sha256":
            self.remember(upload, 0, new_hasher(algorithm))
        return upload

    def offset(self, repository: str, upload: str) -> int:
        """How many bytes have arrived; raises BlobUploadUnknown."""
        self._check(repository, upload)
        try:
            return self._storage.offset(upload)
        except NotStored:
            raise _unknown(upload) from None

    def cancel(self, repository: str, upload: str) -> None:
        """End the session and forget its bytes; raises BlobUploadUnknown."""
        self._check(repository, upload)
        self._store.transact(lambda session: delete_upload(session, upload))
        self._forget(upload)

    def write(self, repository: str, upload: str, *, at: int | None = None, digest: str | None = None) -> "Incoming":
        """Open the session for more bytes, which begin at ``at`` when given, and end ``digest`` when given.

        Raises BlobUploadUnknown, OutOfOrder, UploadBusy, NotAtHome.
        """
        self._home.check()
        self._check(repository, upload)
        with ExitStack() as held:
            try:
                spool = held.enter_context(self._storage.append(upload, at=at))
            except NotStored:
                raise _unknown(upload) from None
            except WrongOffset as error:
                raise OutOfOrder(headers=self.progress(repository, upload, error.offset)) from None
            except Busy:
                raise UploadBusy from None
            with self._lock:
                known = self._hashes.pop(upload, None)
            hasher = known[1] if known is not None and known[0] == spool.offset else None
            if spool.offset == 0:
                # Nothing was hashed yet: whatever was expected, what is said now counts.
                said = algorithm_of(digest) if digest is not None else None
                hasher = new_hasher(said or (hasher.name if hasher is not None else "sha256"))
            return Incoming(self, repository, upload, spool=spool, hasher=hasher, held=held.pop_all())

    def mount(
        self,
        repository: str,
        digest: str,
        *,
        source: str | None = None,
        may_read: Callable[[Session, Sequence[str]], bool],
    ) -> bool:
        """Make a blob that other repositories show visible in this one too; say whether that was possible.

        ``may_read`` is asked about those repositories, ``source`` first. Raises NameUnknown.
        """

        def find(session: Session) -> Blob | None:
            holders = repositories_with(session, digest, first=source, limit=MOST_ASKED)
            return get_blob_anywhere(session, digest) if may_read(session, holders) else None

        blob = self._store.read(find)
        # A row whose bytes were lost outside must not spread.
        held = blob is not None and self._storage.size(digest) == blob.size

        def link(session: Session) -> bool:
            self._hold(session, repository)
            return held and show_blob(session, repository, digest)

        return self._store.transact(link)

    def sweep(self) -> int:
        """Forget what was abandoned, sessions and spools; say how much."""
        long_ago = self._clock.now() - ABANDONED_AFTER
        swept = [upload for upload, touched_at in self._storage.uploads() if touched_at < long_ago]
        old = self._store.read(lambda session: list_uploads_started_before(session, long_ago))
        swept += [upload for upload in old if upload not in swept and not self._has_spool(upload)]
        known = self._store.read(lambda session: list_known_uploads(session, swept))
        for upload in swept:
            if upload in known:
                self._store.transact(partial(delete_upload, upload=upload))
            self._forget(upload)
        return len(swept)

    @staticmethod
    def progress(repository: str, upload: str, offset: int) -> dict[str, str]:
        """The headers that tell where a session is and how far: an empty one says ``0-0``, as clients expect."""
        return {
            "Location": f"/v2/{repository}/blobs/uploads/{upload}",
            "Range": f"0-{max(offset - 1, 0)}",
            "Docker-Upload-UUID": upload,
        }

    def _is_sweep_due(self) -> bool:
        now = self._clock.now()
        with self._lock:
            due = self._swept_at is None or now - self._swept_at >= _SWEPT_EVERY
            if due:
                self._swept_at = now
        return due

    def _hold(self, session: Session, repository: str) -> None:
        """Hold the repository against its deletion until the transaction ends; raises NameUnknown."""
        if not share_repository(session, repository):
            find_repository(session, repository, self._account)

    def _check(self, repository: str, upload: str) -> None:
        if not _ID.fullmatch(upload):
            raise _unknown(upload)
        if self._lookups.has_upload(repository, upload):
            return

        def known(session: Session) -> bool:
            if get_upload(session, repository, upload) is not None:
                # Sessions end with their repository.
                return True
            find_repository(session, repository, self._account)
            return False

        if not self._store.read(known):
            raise _unknown(upload)

    def remember(self, upload: str, offset: int, hasher: Hasher) -> None:
        """Keep the hash of what has arrived, for the request that brings more."""
        with self._lock:
            self._hashes[upload] = (offset, hasher)
            while len(self._hashes) > _REMEMBERED:
                self._hashes.popitem(last=False)

    def finish(self, repository: str, upload: str, digest: str, *, size: int) -> None:
        """Make the spool, whose bytes were verified, a blob of the repository and end the session.

        Raises NameUnknown, BlobUploadUnknown, StorageFull, Unavailable.
        """
        for _ in range(_PATIENCE):
            before = self._lookups.standing(digest)
            if before is None:
                before = self._store.read(lambda session: standing_of(session, digest))
            if before.faulty and not before.condemned:
                # Or what is damaged would be taken for what has come: a storage keeps nothing twice.
                self._storage.delete(digest)
            if not before.condemned and self._keep(repository, upload, digest, size=size, before=before):
                self._forget(upload)
                return
            # The collector is removing older bytes of the same digest: a matter of milliseconds, while it lives.
            self._clock.wait(threading.Event(), _PAUSE)
        raise Unavailable(f"blob '{digest}' is being removed; send it again")

    def _keep(self, repository: str, upload: str, digest: str, *, size: int, before: Standing) -> bool:
        """Keep the bytes and record them; False where the collector may have got at them in between."""
        try:
            self._storage.keep(upload, digest)
        except NoRoom:
            raise StorageFull from None
        except NotStored:
            raise _unknown(upload) from None
        now = self._clock.now()

        def record(session: Session) -> None:
            self._hold(session, repository)
            keep_blob(session, repository, digest, size, now=now, since=before.condemnations)
            delete_upload(session, upload)
            if before.faulty:
                forget_fault(session, digest)

        try:
            self._store.transact(record)
        except BlobCollected:
            return False
        return True

    def holds(self, upload: str, first: int, data: bytes) -> bool:
        """Whether exactly these bytes have arrived before, from ``first`` on."""
        found = bytearray()
        try:
            with self._storage.read_upload(upload, at=first) as spool:
                while len(found) < len(data) and (chunk := spool.read(len(data) - len(found))):
                    found += chunk
        except NotStored:
            raise _unknown(upload) from None
        return found == data

    def hash_again(self, upload: str, algorithm: str) -> str:
        """The digest of all that has arrived, read back from the spool."""
        hasher = new_hasher(algorithm)
        with self._storage.read_upload(upload) as spool:
            while chunk := spool.read(CHUNK):
                hasher.update(chunk)
        return f"{algorithm}:{hasher.hexdigest()}"

    def _forget(self, upload: str) -> None:
        with self._lock:
            self._hashes.pop(upload, None)
        self._storage.drop(upload)

    def _has_spool(self, upload: str) -> bool:
        try:
            return self._storage.offset(upload) >= 0
        except NotStored:
            return False


class Incoming:
    """One request's bytes on their way into a session. Used by one thread at a time; ``close`` it always."""

    def __init__(
        self,
        uploads: Uploads,
        repository: str,
        upload: str,
        *,
        spool: Spool,
        hasher: Hasher | None,
        held: ExitStack,
    ) -> None:
        self._uploads = uploads
        self._repository = repository
        self._upload = upload
        self._spool = spool
        self._hasher = hasher
        self._held = held

    @property
    def progress(self) -> dict[str, str]:
        return Uploads.progress(self._repository, self._upload, self._spool.offset)

    @property
    def flushed(self) -> int:
        """How many bytes of the session can be read."""
        return self._spool.flushed

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append ``data``; raises StorageFull, after which the session can be resumed, and UploadBusy."""
        hasher, self._hasher = self._hasher, None
        try:
            self._spool.write(data)
        except NoRoom:
            raise StorageFull(headers=self.progress) from None
        except Busy:
            raise UploadBusy from None
        if hasher is not None:
            hasher.update(data)
            self._hasher = hasher

    def flush(self) -> None:
        """Make what was written part of the session for every process; raises StorageFull, UploadBusy."""
        try:
            self._spool.flush()
        except NoRoom:
            raise StorageFull(headers=self.progress) from None
        except Busy:
            raise UploadBusy from None

    def finish(self, digest: str) -> None:
        """Verify that all that has arrived is ``digest`` and make it a blob of the repository.

        Raises DigestInvalid, which ends the session: its bytes are of no use to anyone.
        """
        algorithm = algorithm_of(check_digest(digest))
        self.flush()
        if self._hasher is not None and self._hasher.name == algorithm:
            actual = f"{algorithm}:{self._hasher.hexdigest()}"
        else:
            actual = self._uploads.hash_again(self._upload, algorithm)
        if actual != digest:
            self._uploads.cancel(self._repository, self._upload)
            raise DigestInvalid(detail={"provided": digest, "uploaded": actual})
        self._uploads.finish(self._repository, self._upload, digest, size=self._spool.offset)
        self._hasher = None

    def close(self) -> None:
        """Let others write; what has arrived stays."""
        if self._hasher is not None:
            self._uploads.remember(self._upload, self._spool.offset, self._hasher)
        self._held.close()


def _unknown(upload: str) -> BlobUploadUnknown:
    return BlobUploadUnknown(f"blob upload '{upload[:64]}' is not known to this registry")
