"""A registry without a door, as any number of processes work on it, and what must hold of it at every instant."""

import json
import threading
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

from sqlalchemy import delete, event, insert, select

from kit.clock import ManualClock
from kit.settings import Settings
from registry.collected import Collected, Wish
from registry.collector import Collector
from registry.foresight import Tell
from registry.images import Push, put_image, remove_image
from registry.manifests import read_manifest
from registry.storage import Storage
from registry.storage.memory import MemoryStorage
from registry.uploads import Uploads
from state.base import Base
from state.blobs import Blob, BlobLink, Condemnations, get_blob
from state.garbage import CollectionEnd
from state.images import Image, Reference, Tag
from state.registry_events import RegistryEvent
from state.repositories import Repository
from state.scrubs import BlobFault
from state.store import Session, Store
from state.uploads import Upload
from tests.support.interrupted import InterruptedStorage, InterruptedStore, Interruption
from tests.support.registry import OCI_MANIFEST, image_of, sha256

ACCOUNT = "123456789012"
GRACE = timedelta(hours=24)
AT_ONCE = Wish(grace=timedelta(0))
# Of what pushes and collections write, in the order in which rows can be written.
_TABLES: tuple[type[Base], ...] = (
    *(Blob, BlobLink, BlobFault, Condemnations),
    *(Image, Reference, Tag),
    *(Upload, CollectionEnd, RegistryEvent),
)


class FlowingClock(ManualClock):
    """A manual clock on which waiting takes no time."""

    def wait(self, event: threading.Event, timeout: timedelta) -> bool:
        self.tick(seconds=timeout.total_seconds())
        return event.is_set()


def _quick(connection: Any, record: Any, proxy: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")


class World:
    """A registry without a door, as any number of processes work on it."""

    def __init__(self, url: str, data: Path, storage: Storage | None = None, clock: Any = None) -> None:
        """``data`` is the data directory, in which collectors enter themselves on their roll."""
        self.data = data
        self.store = Store(url)
        Base.metadata.create_all(self.store.engine)
        if self.store.embedded:
            # Processes are killed here, and machines are not.
            event.listen(self.store.engine, "checkout", _quick)
        self.clock = clock or FlowingClock()
        self.storage = storage or MemoryStorage(clock=self.clock)
        self.told: list[tuple[str, str, int]] = []
        for name in ("web", "api"):
            self.store.transact(partial(self._make, name=name))

    def _make(self, session: Session, name: str) -> None:
        session.add(Repository(name=name, created_at=self.clock.now()))

    def process(self, interruption: Interruption | None = None) -> tuple[Store, Storage]:
        if interruption is None:
            return self.store, self.storage
        return (
            cast(Store, InterruptedStore(self.store, interruption)),
            cast(Storage, InterruptedStorage(self.storage, interruption)),
        )

    def uploads(self, interruption: Interruption | None = None) -> Uploads:
        store, storage = self.process(interruption)
        return Uploads(store, storage, clock=self.clock, account=ACCOUNT)

    def push_blob(self, data: bytes, repository: str = "web", interruption: Interruption | None = None) -> str:
        uploads = self.uploads(interruption)
        incoming = uploads.write(repository, uploads.begin(repository))
        try:
            incoming.write(data)
            incoming.finish(sha256(data))
        finally:
            incoming.close()
        return sha256(data)

    def push(self, *layers: bytes, repository: str = "web", tags: tuple[str, ...] = (), **members: Any) -> str:
        """An image with its blobs; its digest."""
        for data in (b"{}", *layers):
            self.push_blob(data, repository)
        return self.put(json.dumps(image_of(*layers, **members)).encode(), repository, tags)

    def put(self, body: bytes, repository: str = "web", tags: tuple[str, ...] = (), media: str = OCI_MANIFEST) -> str:
        push = Push(digest=sha256(body), body=body, manifest=read_manifest(body, media), tags=tags)
        now = self.clock.now()
        self.store.transact(lambda session: put_image(session, repository, push, account=ACCOUNT, now=now))
        return push.digest

    def remove(self, digest: str, repository: str = "web") -> None:
        now = self.clock.now()
        self.store.transact(lambda session: remove_image(session, repository, digest, now=now))

    def collect(self, wish: Wish = AT_ONCE, interruption: Interruption | None = None, **settings: Any) -> Collected:
        self.told = []

        def tell(what: str, name: str, size: int) -> None:
            self.told.append((what, name, size))

        return self.collector(interruption, tell=tell, **settings).collect(wish)

    def collector(
        self, interruption: Interruption | None = None, *, tell: Tell = lambda *told: None, **settings: Any
    ) -> Collector:
        store, storage = self.process(interruption)
        return Collector(store, storage, clock=self.clock, settings=Settings(data=self.data, **settings), tell=tell)

    def check(self) -> None:
        """What holds at every instant: a row that is not condemned has its bytes, and an image all of its layers."""

        def look(session: Session) -> None:
            rows = {row.digest: row for row in session.scalars(select(Blob))}
            links = {(link.repository, link.digest) for link in session.scalars(select(BlobLink))}
            for row in rows.values():
                if row.condemned_until is None:
                    assert self.storage.size(row.digest) == row.size, f"{row.digest} has no bytes"
                else:
                    assert not any(digest == row.digest for _, digest in links)
            for reference in session.scalars(select(Reference).where(Reference.kind == "blob")):
                assert (reference.repository, reference.target) in links

        self.store.read(look)

    def check_clean(self) -> None:
        """After collecting long enough: what is kept is what an image needs, to the byte."""

        def look(session: Session) -> None:
            needed = set(session.scalars(select(Reference.target).where(Reference.kind == "blob")))
            assert set(session.scalars(select(Blob.digest))) == needed
            assert {digest for digest, _ in self.storage.blobs()} == needed
            assert list(self.storage.uploads()) == []

        self.store.read(look)

    def collect_at_last(self) -> None:
        """Two collections after whatever was killed has run out."""
        self.clock.tick(hours=25)
        self.collect()
        self.check()
        self.check_clean()

    def kept(self, data: bytes, repository: str = "web") -> bool:
        return self.store.read(lambda session: get_blob(session, repository, sha256(data)) is not None)

    def remember(self) -> "Moment":
        """All there is now, but for the repositories."""

        def look(session: Session) -> list[Sequence[Any]]:
            return [[dict(row) for row in session.execute(select(table.__table__)).mappings()] for table in _TABLES]

        return Moment(rows=self.store.read(look), stored=deepcopy(self._stored()))

    def restore(self, moment: "Moment") -> None:
        """As it was then, but for the clock. Making all anew takes many times as long."""

        def write(session: Session) -> None:
            for table in reversed(_TABLES):
                session.execute(delete(table))
            for table, rows in zip(_TABLES, moment.rows, strict=True):
                if rows:
                    session.execute(insert(table), rows)

        self.store.transact(write)
        for kept, then in zip(self._stored(), deepcopy(moment.stored), strict=True):
            kept.clear()
            kept.update(then)

    def _stored(self) -> list[dict[str, Any]]:
        storage = self.storage
        assert isinstance(storage, MemoryStorage)
        return [storage._blobs, storage._kept, storage._spools, storage._touched]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What the store and the storage held."""

    rows: list[Sequence[Any]]
    stored: list[dict[str, Any]]
