"""An upload's file, open for appending by one writer: large pieces go past the page cache, all else through it.

What goes past is not copied, and puts nobody else's bytes out of memory however large a layer is; the disk sets the
pace. It must begin and end at a block, in memory as in the file. Where it does not, and on a file system that knows no
such way, writing is as ever; readers see the same bytes.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from registry.storage import Busy, NoRoom

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# A multiple of every disk's own.
BLOCK = 4096
# Less than this is written sooner by way of the page cache.
LARGE = 256 * 1024
# Not every system has it.
_PAST_THE_CACHE = getattr(os, "O_DIRECT", 0)


class FileSpool:
    """One locked, open spool."""

    def __init__(self, handle: int) -> None:
        found = os.fstat(handle)
        self._handle = handle
        self._flags = fcntl.fcntl(handle, fcntl.F_GETFL)
        # After a crash the spool and its blob may be one file still; nothing may be added to a blob.
        self._sealed = found.st_nlink > 1
        self._refused = False
        self.offset = found.st_size

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._sealed and data:
            raise Busy("these bytes are a blob already")
        rest = memoryview(data)
        with full_disk():
            while rest:
                written = self._write(rest)
                self.offset += written
                rest = rest[written:]

    @property
    def flushed(self) -> int:
        return self.offset

    def flush(self) -> None:
        """Every write has reached the file."""

    def _write(self, data: memoryview) -> int:
        if len(data) >= LARGE and self.offset % BLOCK == 0 and not self._refused:
            try:
                self._switch(self._flags | _PAST_THE_CACHE)
                return os.write(self._handle, data[: len(data) - len(data) % BLOCK])
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._refused = True
        self._switch(self._flags & ~_PAST_THE_CACHE)
        return os.write(self._handle, data)

    def _switch(self, flags: int) -> None:
        if flags != self._flags:
            fcntl.fcntl(self._handle, fcntl.F_SETFL, flags)
            self._flags = flags


@contextmanager
def full_disk() -> Iterator[None]:
    """Say NoRoom where the disk, a quota or a limit leaves none."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoRoom(os.strerror(error.errno)) from error
        raise
