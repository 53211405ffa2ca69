"""Layers: walked from the lowest to the highest, with what a higher one takes away taken away.

Only what package managers and os-release say is looked at, by its path; each such file is turned into packages at
once, so that memory holds an inventory and never a file system. Source: OCI image-spec, layer.md, "Whiteouts".
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO

from registry.scanning.inventories import Found, read_found, reader_of
from registry.scanning.limits import Limits, TooLarge, Unreadable
from registry.scanning.packages import Inventory, Package, System
from registry.scanning.streams import Budget, LayerStream
from registry.scanning.tars import DIRECTORY, FILE, LINK, Archive, Entry

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_MOST_NOTES = 20


class Layers:
    """What layers hold so far: feed it one after another, then ask for the inventory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._files: dict[str, Found] = {}
        # Folders above what was found, for telling when a file takes the place of one.
        self._folders: frozenset[str] = frozenset()
        self._notes: dict[str, None] = {}
        self._packages = 0

    def add(self, digest: str, blob: BinaryIO, budget: Budget) -> None:
        """Read one layer. Raises Unscannable; what was added before is then of no use."""
        archive = Archive(LayerStream(blob, budget), budget)
        added: dict[str, Found] = {}
        # Paths of lower layers that are gone, with all beneath them; and folders whose lower content is gone.
        gone: set[str] = set()
        emptied: set[str] = set()
        for entry in archive:
            folder, _, name = entry.path.rpartition("/")
            if name == _OPAQUE:
                emptied.add(folder)
            elif name.startswith(_WHITEOUT):
                gone.add(f"{folder}/{name[len(_WHITEOUT) :]}".lstrip("/"))
            else:
                self._place(entry, archive, digest, added, gone)
        self._files = {path: found for path, found in self._files.items() if not _is_gone(path, gone, emptied)} | added
        self._folders = frozenset(folder for path in self._files for folder in _above(path))

    def inventory(self) -> Inventory:
        """Everything found, sorted and each package once for each file that tells of it."""
        packages = sorted({package for found in self._files.values() for package in found.packages})
        return Inventory(system=self._system(), packages=packages, notes=tuple(self._notes)[:_MOST_NOTES])

    def _place(self, entry: Entry, archive: Archive, digest: str, added: dict[str, Found], gone: set[str]) -> None:
        # Whatever comes in a file's place takes it away; in a folder's place all but another folder.
        if entry.path in self._files or (entry.kind != DIRECTORY and entry.path in self._folders):
            gone.add(entry.path)
        # Within one archive the last entry of a name counts.
        added.pop(entry.path, None)
        if entry.kind == LINK:
            found = added.get(entry.target) or self._files.get(entry.target)
            if found is not None:
                added[entry.path] = found
            return
        reader = reader_of(entry.path)
        if entry.kind != FILE or reader is None:
            return
        try:
            found = read_found(reader, entry, archive, self._limits)
        except Unreadable as trouble:
            self._note(f"{entry.path}: {trouble}")
            return
        packages = tuple(replace(package, path=entry.path, layer=digest) for package in found.packages)
        self._count(packages)
        added[entry.path] = replace(found, packages=packages)

    def _count(self, packages: Iterable[Package]) -> None:
        self._packages += sum(1 for _ in packages)
        # Layers may repeat a package manager's list, each a little longer than the last.
        if self._packages > 20 * self._limits.packages:
            raise TooLarge(f"The image's layers list more than {20 * self._limits.packages} packages.")

    def _note(self, text: str) -> None:
        if len(self._notes) < _MOST_NOTES:
            self._notes[text[:300]] = None

    def _system(self) -> System | None:
        for path in ("etc/os-release", "usr/lib/os-release"):
            found = self._files.get(path)
            if found is not None and found.system is not None:
                return found.system
        return None


def _is_gone(path: str, gone: set[str], emptied: set[str]) -> bool:
    if path in gone or "" in emptied:
        return True
    return any(folder in gone or folder in emptied for folder in _above(path))


def _above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
