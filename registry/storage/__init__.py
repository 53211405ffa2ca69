"""Storage: where the bytes of blobs are kept. The narrow contract of its drivers.

A driver knows blobs by digest and upload sessions by id, and nothing of repositories. What every driver
promises, and ``tests/conformance/test_storage_*`` checks: a blob appears whole or not at all; ``keep`` has
made it durable when it returns; a spool's size is the number of bytes that have arrived; every call may be
repeated; two writers never interleave in one spool.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import BinaryIO, Protocol

CHUNK = 1024 * 1024


class StorageError(Exception):
    """The storage could not do it."""


class NotStored(StorageError):
    """There is no such blob or upload in the storage."""


class WrongOffset(StorageError):
    """The bytes offered do not begin where the spool ends, which is at ``offset``."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the spool ends at {offset}")
        self.offset = offset


class Busy(StorageError):
    """Another writer has the spool."""


class NoRoom(StorageError):
    """The storage is full. What was written before stays."""


class Spool(Protocol):
    """An upload's bytes, open for appending by one writer."""

    @property
    def offset(self) -> int: ...

    @property
    def flushed(self) -> int:
        """How many bytes ``read_upload`` shows."""
        ...

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append all of ``data``; raises NoRoom, after which ``offset`` still tells what has arrived.

        Raises Busy when the spool's bytes have been kept as a blob.
        """
        ...

    def flush(self) -> None:
        """Make what was written part of the spool for everybody; closing does so, too. Raises NoRoom, Busy."""
        ...


class Storage(Protocol):
    """Keeps blobs. Every method is synchronous and safe to call from many threads and processes."""

    def identity(self, given: str | None = None) -> str | None:
        """What tells this storage from every other: ``given`` at the first time, and that for ever; None before it."""
        ...

    def size(self, digest: str) -> int | None:
        """The blob's length in bytes, or None when it is not kept."""
        ...

    def open(self, digest: str) -> BinaryIO:
        """The blob, seekable and open for reading; raises NotStored."""
        ...

    def delete(self, digest: str) -> None:
        """Remove the blob's bytes, also when already gone. For the garbage collector alone."""
        ...

    def blobs(self) -> Iterator[tuple[str, datetime]]:
        """Every blob's digest and an instant not after it was kept, while others come and go."""
        ...

    def start(self, upload: str) -> None:
        """Make an empty spool; an existing one is left as it is."""
        ...

    def offset(self, upload: str) -> int:
        """How many bytes have arrived; raises NotStored."""
        ...

    def append(self, upload: str, *, at: int | None = None) -> AbstractContextManager[Spool]:
        """Open the spool for appending, at its end, which must be ``at`` when given.

        Raises NotStored, WrongOffset, or Busy when another writer has it.
        """
        ...

    def read_upload(self, upload: str, *, at: int = 0) -> BinaryIO:
        """The spool, open for reading what has arrived from ``at`` on; raises NotStored."""
        ...

    def keep(self, upload: str, digest: str) -> None:
        """Make the spool's bytes the blob ``digest``, durably; the caller has verified them. The spool stays.

        Raises NotStored, NoRoom.
        """
        ...

    def drop(self, upload: str) -> None:
        """Remove the spool, also when already gone."""
        ...

    def uploads(self) -> Iterator[tuple[str, datetime]]:
        """Every spool with the instant of its last byte."""
        ...
