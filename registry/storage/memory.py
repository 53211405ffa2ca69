"""Blobs in memory: for tests and for trying things out. ``room`` bounds it, so that a full disk can be tried too."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import BinaryIO

from kit.clock import Clock, SystemClock
from registry.storage import Busy, NoRoom, NotStored, WrongOffset


class MemoryStorage:
    """Keeps blobs for as long as the process lives, ``room`` bytes of them at most when given."""

    def __init__(self, *, room: int | None = None, clock: Clock | None = None) -> None:
        self.room = room
        self._clock = clock or SystemClock()
        self._identity: str | None = None
        self._blobs: dict[str, bytes] = {}
        self._kept: dict[str, datetime] = {}
        self._spools: dict[str, bytearray] = {}
        self._touched: dict[str, datetime] = {}
        self._writing: set[str] = set()
        self._lock = threading.Lock()

    def identity(self, given: str | None = None) -> str | None:
        with self._lock:
            self._identity = self._identity or given
            return self._identity

    def size(self, digest: str) -> int | None:
        blob = self._blobs.get(digest)
        return None if blob is None else len(blob)

    def open(self, digest: str) -> BinaryIO:
        try:
            return io.BytesIO(self._blobs[digest])
        except KeyError:
            raise NotStored(digest) from None

    def delete(self, digest: str) -> None:
        self._blobs.pop(digest, None)
        self._kept.pop(digest, None)

    def blobs(self) -> Iterator[tuple[str, datetime]]:
        yield from tuple(self._kept.items())

    def start(self, upload: str) -> None:
        with self._lock:
            self._spools.setdefault(upload, bytearray())
            self._touched[upload] = self._clock.now()

    def offset(self, upload: str) -> int:
        return len(self._find(upload))

    @contextmanager
    def append(self, upload: str, *, at: int | None = None) -> Iterator["MemorySpool"]:
        with self._lock:
            spool = MemorySpool(self, upload, self._find(upload))
            if upload in self._writing:
                raise Busy(upload)
            if at is not None and at != spool.offset:
                raise WrongOffset(spool.offset)
            self._writing.add(upload)
        try:
            yield spool
        finally:
            self._writing.discard(upload)

    def read_upload(self, upload: str, *, at: int = 0) -> BinaryIO:
        return io.BytesIO(bytes(self._find(upload)[at:]))

    def keep(self, upload: str, digest: str) -> None:
        self._blobs[digest] = bytes(self._find(upload))
        self._kept[digest] = self._clock.now()

    def drop(self, upload: str) -> None:
        with self._lock:
            self._spools.pop(upload, None)
            self._touched.pop(upload, None)

    def uploads(self) -> Iterator[tuple[str, datetime]]:
        yield from tuple(self._touched.items())

    def _find(self, upload: str) -> bytearray:
        try:
            return self._spools[upload]
        except KeyError:
            raise NotStored(upload) from None

    def take(self, upload: str, spool: bytearray, data: bytes | bytearray | memoryview) -> None:
        """Append what there is room for; raises NoRoom when that is not all."""
        with self._lock:
            used = sum(map(len, self._blobs.values())) + sum(map(len, self._spools.values()))
            fits = len(data) if self.room is None else max(0, min(len(data), self.room - used))
            spool.extend(memoryview(data)[:fits])
            self._touched[upload] = self._clock.now()
        if fits < len(data):
            raise NoRoom(f"{self.room} bytes are taken")


class MemorySpool:
    """One open spool."""

    def __init__(self, storage: MemoryStorage, upload: str, spool: bytearray) -> None:
        self._storage = storage
        self._upload = upload
        self._spool = spool

    @property
    def offset(self) -> int:
        return len(self._spool)

    @property
    def flushed(self) -> int:
        return self.offset

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._storage.take(self._upload, self._spool, data)

    def flush(self) -> None:
        """Every write has reached the spool."""
