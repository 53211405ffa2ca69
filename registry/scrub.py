"""Scrubbing: reading kept blobs again, and telling those whose bytes are not what their digest says.

Nothing is removed: what is corrupt is named, and a fresh push of the layer's image is the cure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from kit.clock import Clock
from registry.names import Hasher, algorithm_of, new_hasher
from registry.storage import CHUNK, NotStored, Storage
from state.scrubs import list_kept, note_faults
from state.store import Store

_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A blob that was read: ``fault`` is ``corrupt``, ``missing`` or None."""

    digest: str
    size: int
    fault: str | None


class Reading:
    """One blob being read, as much at a time as the reader likes."""

    def __init__(self, storage: Storage, digest: str) -> None:
        self._digest = digest
        self._hasher: Hasher = new_hasher(algorithm_of(digest))
        self._file: BinaryIO | None = None
        try:
            self._file = storage.open(digest)
        except NotStored:
            self.fault: str | None = "missing"
            self.ended = True
        else:
            self.fault, self.ended = None, False

    def read(self, most: int) -> int:
        """Read at most so many bytes; says how many. ``ended`` and ``fault`` tell what came of it."""
        done = 0
        while not self.ended and done < most:
            assert self._file is not None
            data = self._file.read(min(CHUNK, most - done))
            done += len(data)
            if data:
                self._hasher.update(data)
            else:
                self._end()
        return done

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _end(self) -> None:
        self.ended = True
        self.close()
        if f"{algorithm_of(self._digest)}:{self._hasher.hexdigest()}" != self._digest:
            self.fault = "corrupt"


def check_blob(storage: Storage, digest: str) -> str | None:
    """What is wrong with the blob."""
    reading = Reading(storage, digest)
    try:
        while not reading.ended:
            reading.read(64 * CHUNK)
    finally:
        reading.close()
    return reading.fault


def record(store: Store, storage: Storage, clock: Clock, digest: str, fault: str | None) -> str | None:
    """Record what was found of a blob. Trouble is looked at twice: it may have been collected, or healed, meanwhile."""
    if fault is not None:
        fault = check_blob(storage, digest)
    store.transact(lambda session: note_faults(session, {digest: fault}, now=clock.now()))
    return fault


def scrub(store: Store, storage: Storage, clock: Clock) -> Iterator[Checked]:
    """Read every blob once, from the first to the last, as fast as it goes; findings are recorded."""
    after = ""
    while page := store.read(lambda session, after=after: list_kept(session, after=after, limit=_PAGE)):  # type: ignore[misc]
        after = page[-1][0]
        well: dict[str, str | None] = {}
        for digest, size in page:
            fault = check_blob(storage, digest)
            if fault is not None:
                fault = record(store, storage, clock, digest, fault)
            else:
                well[digest] = None
            yield Checked(digest=digest, size=size, fault=fault)
        store.transact(lambda session, well=well: note_faults(session, well, now=clock.now()))  # type: ignore[misc]
