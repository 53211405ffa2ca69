"""rpm: ``rpmdb.sqlite``, whose table ``Packages`` keeps one header a package, in rpm's own binary form.

SQLite reads files and no streams, so the database goes through a temporary file with a name of its own. It is
foreign: opened for reading alone, without trusting its schema, and with bounds on what a question may cost.
Source: rpm documentation, "RPM v4 Package format", header structure; lib/rpmtag.h.
"""

import sqlite3
import struct
import tempfile
from collections.abc import Sequence
from contextlib import closing
from types import TracebackType

from registry.scanning.limits import MIB, Limits, Unreadable
from registry.scanning.packages import RPM, Package

_NAME, _VERSION, _RELEASE, _EPOCH, _LICENSE, _ARCH, _SOURCE = 1000, 1001, 1002, 1003, 1014, 1022, 1044
_INT32, _TEXTS = 4, (6, 8, 9)
_LARGEST_HEADER = 32 * MIB
# Steps of SQLite's virtual machine; a million rows take some ten million.
_MOST_STEPS = 2000
_STEPS = 50_000


class SpooledDatabase:
    """A temporary file that is gone with the block it is used in."""

    def __enter__(self) -> "SpooledDatabase":
        self._file = tempfile.NamedTemporaryFile(prefix="berth-rpmdb-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, piece: bytes) -> None:
        self._file.write(piece)

    @property
    def path(self) -> str:
        self._file.flush()
        return self._file.name


def read_rpms(database: SpooledDatabase, limits: Limits) -> Sequence[Package]:
    """The packages installed; raises Unreadable."""
    try:
        with closing(sqlite3.connect(f"file:{database.path}?mode=ro&immutable=1", uri=True)) as connection:
            return _read(connection, limits)
    except sqlite3.Error as error:
        raise Unreadable(f"it is no rpm database: {error}") from error


def _read(connection: sqlite3.Connection, limits: Limits) -> list[Package]:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_HEADER)
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")
    asked = 0

    def too_much() -> bool:
        nonlocal asked
        asked += 1
        return asked > _MOST_STEPS

    connection.set_progress_handler(too_much, _STEPS)
    # A view of this name would compute what it likes.
    kind = connection.execute("SELECT type FROM sqlite_master WHERE name = 'Packages'").fetchone()
    if kind != ("table",):
        raise Unreadable("it is no rpm database: it has no table of packages")
    found = []
    for (blob,) in connection.execute("SELECT blob FROM Packages"):
        if not isinstance(blob, bytes):
            raise Unreadable("a header in it is none")
        package = read_header(blob)
        if package is not None:
            found.append(package)
        if len(found) > limits.packages:
            raise Unreadable(f"it lists more than {limits.packages} packages")
    return found


def read_header(blob: bytes) -> Package | None:
    """The package of one header; None for imported keys, which rpm keeps as packages too. Raises Unreadable."""
    if len(blob) < 8:
        raise Unreadable("a header in it is cut")
    count, size = struct.unpack_from(">II", blob)
    start = 8 + 16 * count
    if start + size > len(blob):
        raise Unreadable("a header in it is cut")
    texts: dict[int, str] = {}
    epoch = 0
    for tag, kind, offset, number in struct.iter_unpack(">IIII", blob[8:start]):
        if tag == _EPOCH and kind == _INT32 and number and offset + 4 <= size:
            (epoch,) = struct.unpack_from(">I", blob, start + offset)
        elif kind in _TEXTS and tag in (_NAME, _VERSION, _RELEASE, _LICENSE, _ARCH, _SOURCE) and offset < size:
            end = blob.find(b"\0", start + offset, start + size)
            texts[tag] = blob[start + offset : max(end, start + offset)].decode("utf-8", "replace")
    name, version, release = texts.get(_NAME), texts.get(_VERSION), texts.get(_RELEASE)
    if not (name and version and release):
        raise Unreadable("a header in it tells no name or version")
    if name == "gpg-pubkey":
        return None
    prefix = f"{epoch}:" if epoch else ""
    source, source_version = _source(texts.get(_SOURCE, ""))
    return Package(
        type=RPM,
        name=name,
        version=f"{prefix}{version}-{release}",
        arch=texts.get(_ARCH, ""),
        source=source or name,
        source_version=f"{prefix}{source_version or f'{version}-{release}'}",
        license=texts.get(_LICENSE, "")[:200],
    )


def _source(file: str) -> tuple[str, str]:
    """Name and version of ``bash-5.1.8-6.el9.src.rpm``; empty where the file is none of that form."""
    parts = file.removesuffix(".src.rpm").removesuffix(".nosrc.rpm").rsplit("-", 2)
    return (parts[0], f"{parts[1]}-{parts[2]}") if len(parts) == 3 else ("", "")
