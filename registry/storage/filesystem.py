"""Blobs as files: ``blobs/<algorithm>/<two digits>/<hex>`` and ``uploads/<id>`` beneath one directory.

A blob's file is a second name (link) of the spool it arrived in, given after fsync, so it appears whole; the
spool's own name goes away once the store knows the blob. Writers of one spool exclude each other by flock.
"""

import fcntl
import os
import re
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from kit.files import read_or_create
from kit.folders import make_folder
from registry.storage import Busy, NotStored, WrongOffset
from registry.storage.file_spool import FileSpool, full_disk

_UPLOAD = re.compile(r"[0-9A-Za-z-]{1,64}")


class FilesystemStorage:
    """Keeps blobs beneath ``root``, which is made with mode 0700 when absent."""

    def __init__(self, root: Path) -> None:
        self._identity = root / "identity"
        self._blobs = root / "blobs"
        self._uploads = root / "uploads"
        # Directories of blobs whose own names this process has made durable.
        self._settled: set[Path] = set()
        for directory in (root, self._blobs, self._uploads):
            make_folder(directory)

    def identity(self, given: str | None = None) -> str | None:
        if given is not None:
            return read_or_create(self._identity, given)
        try:
            return self._identity.read_text()
        except FileNotFoundError:
            return None

    def size(self, digest: str) -> int | None:
        try:
            return self._blob(digest).stat().st_size
        except FileNotFoundError:
            return None

    def open(self, digest: str) -> BinaryIO:
        try:
            # Unbuffered: readers ask for chunks of their own size.
            return self._blob(digest).open("rb", buffering=0)
        except FileNotFoundError:
            raise NotStored(digest) from None

    def delete(self, digest: str) -> None:
        self._blob(digest).unlink(missing_ok=True)

    def blobs(self) -> Iterator[tuple[str, datetime]]:
        for path in self._blobs.glob("*/*/*"):
            with suppress(FileNotFoundError):
                found = path.lstat()
                if stat.S_ISREG(found.st_mode) and len(path.name) >= 32:
                    yield f"{path.parent.parent.name}:{path.name}", datetime.fromtimestamp(found.st_mtime, UTC)

    def start(self, upload: str) -> None:
        with full_disk():
            os.close(os.open(self._spool(upload), os.O_CREAT | os.O_WRONLY, 0o600))

    def offset(self, upload: str) -> int:
        try:
            return self._spool(upload).stat().st_size
        except FileNotFoundError:
            raise NotStored(upload) from None

    @contextmanager
    def append(self, upload: str, *, at: int | None = None) -> Iterator[FileSpool]:
        try:
            handle = os.open(self._spool(upload), os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            raise NotStored(upload) from None
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy(upload) from None
            spool = FileSpool(handle)
            if at is not None and at != spool.offset:
                raise WrongOffset(spool.offset)
            yield spool
        finally:
            os.close(handle)

    def read_upload(self, upload: str, *, at: int = 0) -> BinaryIO:
        try:
            spool = self._spool(upload).open("rb", buffering=0)
        except FileNotFoundError:
            raise NotStored(upload) from None
        spool.seek(at)
        return spool

    def keep(self, upload: str, digest: str) -> None:
        spool, blob = self._spool(upload), self._blob(digest)
        try:
            handle = os.open(spool, os.O_RDONLY)
        except FileNotFoundError:
            raise NotStored(upload) from None
        try:
            with full_disk():
                os.fsync(handle)
                new = blob.parent not in self._settled or not blob.parent.is_dir()
                if new:
                    make_folder(blob.parent)
                self._give_name(spool, blob, os.fstat(handle).st_size)
                _fsync_directory(blob.parent)
                if new:
                    # Also where another process made the directory: it may not have come so far.
                    _fsync_directory(blob.parent.parent)
                    _fsync_directory(self._blobs)
                    self._settled.add(blob.parent)
        finally:
            os.close(handle)

    def drop(self, upload: str) -> None:
        self._spool(upload).unlink(missing_ok=True)

    def uploads(self) -> Iterator[tuple[str, datetime]]:
        with os.scandir(self._uploads) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(found.st_mode):
                        yield entry.name, datetime.fromtimestamp(found.st_mtime, UTC)

    def _give_name(self, spool: Path, blob: Path, size: int) -> None:
        try:
            os.link(spool, blob)
        except FileExistsError:
            with suppress(FileNotFoundError):
                if blob.stat().st_size == size:
                    return
            # Damaged from outside: the verified bytes take its place in one step. What a crash leaves of it is a spool
            # without a session, which is swept.
            second = self._uploads / f"second-{uuid.uuid4()}"
            os.link(spool, second)
            second.replace(blob)

    def place(self, digest: str) -> str:
        """Where the blob's file is beneath ``blobs``."""
        return str(self._blob(digest).relative_to(self._blobs))

    def _blob(self, digest: str) -> Path:
        algorithm, _, digits = digest.partition(":")
        # Callers check digests; a path is never built from anything else.
        if not (algorithm.isalnum() and len(digits) >= 32 and digits.isalnum()):
            raise NotStored(digest)
        return self._blobs / algorithm / digits[:2] / digits

    def _spool(self, upload: str) -> Path:
        if not _UPLOAD.fullmatch(upload):
            raise NotStored(upload)
        return self._uploads / upload


def _fsync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
