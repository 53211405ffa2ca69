"""Importing: an operator's OSV files made the knowledge that images are matched against.

A zip file or folder of JSON documents, as osv.dev gives them out per ecosystem, is written as a bundle beside the
current one, some thousand rows a transaction, and takes its place in one. Whatever stops it leaves the old in use,
and a repeat starts anew. Scans that lacked knowledge, or that are continuous, are then asked for again.
"""

import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from kit.clock import Clock
from registry.scanning.limits import MIB
from registry.scanning.osv import BadAdvisory, read_advisory
from registry.scanning.rules import continuous_repositories
from state.scans import ask_again, ask_all_again
from state.store import Session, Store
from state.vulnerabilities import add_advisories, finish_bundle, retire_bundle, start_bundle

LARGEST_DOCUMENT = 8 * MIB
MOST_DOCUMENTS = 3_000_000
_ROWS = 4000
_ADVISORIES = 1000
_MOST_COMPLAINTS = 10


class CannotImport(Exception):
    """Nothing was imported, and what was there stays in use; the message says why."""


@dataclass(slots=True, kw_only=True)
class Imported:
    """What became of the documents. ``elsewhere`` are of ecosystems whose packages are not looked for."""

    advisories: int = 0
    packages: int = 0
    withdrawn: int = 0
    elsewhere: int = 0
    refused: int = 0
    complaints: list[str] = field(default_factory=list)
    modified_at: datetime | None = None


Progress = Callable[[int, int], None]
"""Told how many documents of how many have been read."""


def import_osv(
    store: Store,
    clock: Clock,
    paths: Sequence[Path],
    *,
    name: str,
    rescan: bool = False,
    progress: Progress = lambda done, of: None,
) -> Imported:
    """Put all advisories of these files and folders in the place of the bundle ``name``. Raises CannotImport.

    With ``rescan``, every image that was scanned before is scanned again, also where that is asked for each time.
    """
    sources = [_Source(path) for path in paths]
    total = sum(source.count for source in sources)
    if total == 0:
        raise CannotImport("there is no JSON document in what was given")
    if total > MOST_DOCUMENTS:
        raise CannotImport(f"there are {total} documents, and {MOST_DOCUMENTS} are imported at most")
    bundle = store.transact(lambda session: start_bundle(session, name, now=clock.now()))
    done = Imported()
    for batch in _batches(_documents(sources, total, progress), done):
        _write(store, clock, bundle, batch)
    if not done.advisories:
        told = f"; the first: {done.complaints[0]}" if done.complaints else ""
        raise CannotImport(f"no advisory in {total} documents is about a package that is looked for{told}")

    def finish(session: Session) -> None:
        now = clock.now()
        finish_bundle(
            session, bundle, advisories=done.advisories, refused=done.refused, modified_at=done.modified_at, now=now
        )
        if rescan:
            ask_all_again(session, now=now)
        else:
            ask_again(session, continuous_repositories(session), now=now)
        session.wake("scans")

    store.transact(finish)
    return done


def remove_osv(store: Store, clock: Clock, name: str) -> bool:
    """Take the bundle out of use; whether there was one. Findings stay until images are scanned again."""

    def retire(session: Session) -> bool:
        session.wake("scans")
        return retire_bundle(session, name, now=clock.now())

    return store.transact(retire)


class _Source:
    """One file or folder; raises CannotImport where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: list[Path] = []
        self._members: list[zipfile.ZipInfo] = []
        if path.is_dir():
            self._files = sorted(path.rglob("*.json"))
        elif path.suffix == ".json":
            self._files = [path]
        else:
            try:
                with zipfile.ZipFile(path) as archive:
                    self._members = [info for info in archive.infolist() if info.filename.endswith(".json")]
            except (OSError, zipfile.BadZipFile) as error:
                raise CannotImport(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error

    @property
    def count(self) -> int:
        return len(self._files) + len(self._members)

    def bodies(self) -> Iterator[tuple[str, bytes | str]]:
        """Each document's name, and its bytes or, as a text, why it cannot be read."""
        for file in self._files:
            yield str(file), _read(lambda file=file: file.open("rb"))  # type: ignore[misc]
        if self._members:
            with zipfile.ZipFile(self._path) as archive:
                for info in self._members:
                    yield f"{self._path}:{info.filename}", _read(lambda info=info: archive.open(info))  # type: ignore[misc]


def _read(opened: Callable[[], Any]) -> bytes | str:
    try:
        with opened() as file:
            body: bytes = file.read(LARGEST_DOCUMENT + 1)
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        return f"it cannot be read: {error}"
    return body if len(body) <= LARGEST_DOCUMENT else f"it has more than {LARGEST_DOCUMENT} bytes"


def _documents(sources: Iterable[_Source], total: int, progress: Progress) -> Iterator[tuple[str, bytes | str]]:
    number = 0
    for source in sources:
        for found in source.bodies():
            number += 1
            yield found
            if number % _ADVISORIES == 0 or number == total:
                progress(number, total)


@dataclass(slots=True)
class _Batch:
    advisories: list[dict[str, Any]] = field(default_factory=list)
    packages: list[dict[str, Any]] = field(default_factory=list)


def _batches(documents: Iterable[tuple[str, bytes | str]], done: Imported) -> Iterator[_Batch]:
    seen: set[str] = set()
    batch = _Batch()
    for name, body in documents:
        try:
            if isinstance(body, str):
                raise BadAdvisory(body)
            found = read_advisory(json.loads(body))
        except (ValueError, RecursionError, TypeError, AttributeError) as error:
            done.refused += 1
            if len(done.complaints) < _MOST_COMPLAINTS:
                said = error if isinstance(error, BadAdvisory) else "it is no JSON document of an advisory"
                done.complaints.append(f"{name}: {said}"[:400])
            continue
        if found is None:
            done.withdrawn += 1
        elif not found.packages:
            done.elsewhere += 1
        elif found.id not in seen:
            seen.add(found.id)
            done.advisories += 1
            done.packages += len(found.packages)
            done.modified_at = max(filter(None, (done.modified_at, found.modified_at)), default=None)
            batch.advisories.append({"id": found.id, "document": found.document})
            batch.packages += found.packages
        if len(batch.packages) >= _ROWS or len(batch.advisories) >= _ADVISORIES:
            yield batch
            batch = _Batch()
    if batch.advisories:
        yield batch


def _write(store: Store, clock: Clock, bundle: int, batch: _Batch) -> None:
    store.transact(lambda session: add_advisories(session, bundle, batch.advisories, batch.packages, now=clock.now()))
