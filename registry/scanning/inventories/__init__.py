"""Inventories: one file per package manager, each a function from what it keeps to packages.

Which file of an image is whose is told by its path alone. A reader gets the bytes of one file, bounded, and raises
Unreadable for what it cannot make sense of.
"""

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from registry.scanning.inventories.apk import read_installed
from registry.scanning.inventories.dpkg import read_status
from registry.scanning.inventories.npm import read_package_json
from registry.scanning.inventories.python import read_metadata
from registry.scanning.inventories.rpm import SpooledDatabase, read_rpms
from registry.scanning.inventories.system import read_os_release
from registry.scanning.limits import Limits, Unreadable
from registry.scanning.packages import Package, System
from registry.scanning.tars import Archive, Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one file tells."""

    packages: Sequence[Package] = ()
    system: System | None = None


Reader = Callable[[Entry, Archive, Limits], Found]
_PIECE = 256 * 1024


def reader_of(path: str) -> Reader | None:
    """What reads the file at ``path``; None for almost every file."""
    known = _EXACT.get(path)
    if known is not None:
        return known
    name = path.rpartition("/")[2]
    for names, pattern, reader in _PATTERNS:
        if (name in names or name.endswith(".egg-info") or "" in names) and pattern.fullmatch(path):
            return reader
    return None


def read_found(reader: Reader, entry: Entry, archive: Archive, limits: Limits) -> Found:
    """What the entry tells; raises Unreadable, and nothing else for whatever its bytes are."""
    try:
        found = reader(entry, archive, limits)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, struct.error) as error:
        raise Unreadable("it is malformed") from error
    if len(found.packages) > limits.packages:
        raise Unreadable(f"it lists more than {limits.packages} packages")
    return found


def _bytes(entry: Entry, archive: Archive, most: int) -> bytes:
    if entry.size > most:
        raise Unreadable(f"it has {entry.size} bytes, and {most} are read at most")
    return archive.read(entry.size)


def _database(read: Callable[[bytes], Sequence[Package]]) -> Reader:
    return lambda entry, archive, limits: Found(packages=read(_bytes(entry, archive, limits.database)))


def _document(read: Callable[[bytes], Sequence[Package]]) -> Reader:
    return lambda entry, archive, limits: Found(packages=read(_bytes(entry, archive, limits.document)))


def _os_release(entry: Entry, archive: Archive, limits: Limits) -> Found:
    return Found(system=read_os_release(_bytes(entry, archive, limits.document)))


def _rpm(entry: Entry, archive: Archive, limits: Limits) -> Found:
    if entry.size > limits.rpm_database:
        raise Unreadable(f"it has {entry.size} bytes, and {limits.rpm_database} are read at most")
    with SpooledDatabase() as database:
        left = entry.size
        while left:
            piece = archive.read(min(left, _PIECE))
            database.write(piece)
            left -= len(piece)
        return Found(packages=read_rpms(database, limits))


def _other_rpm(entry: Entry, archive: Archive, limits: Limits) -> Found:
    raise Unreadable("rpm databases of the forms bdb and ndb are not read; sqlite is")


_EXACT: dict[str, Reader] = {
    "etc/os-release": _os_release,
    "usr/lib/os-release": _os_release,
    "var/lib/dpkg/status": _database(read_status),
    "lib/apk/db/installed": _database(read_installed),
    "usr/lib/apk/db/installed": _database(read_installed),
    **{
        f"{folder}/{name}": reader
        for folder in ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm")
        for name, reader in (("rpmdb.sqlite", _rpm), ("Packages", _other_rpm), ("Packages.db", _other_rpm))
    },
}
# The file names to look for (an empty one: any), and what the whole path must then be.
_PATTERNS: tuple[tuple[tuple[str, ...], re.Pattern[str], Reader], ...] = (
    (("package.json",), re.compile(r"(.*/)?node_modules/(@[^/]+/)?[^/]+/package\.json"), _document(read_package_json)),
    (("METADATA",), re.compile(r"(.*/)?[^/]+\.dist-info/METADATA"), _document(read_metadata)),
    (("PKG-INFO",), re.compile(r"(.*/)?[^/]+\.egg-info/PKG-INFO"), _document(read_metadata)),
    ((".egg-info",), re.compile(r"(.*/)?[^/]+\.egg-info"), _document(read_metadata)),
    (("",), re.compile(r"var/lib/dpkg/status\.d/[^/]+(?<!\.md5sums)"), _database(read_status)),
)
