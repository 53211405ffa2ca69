"""A registry amid faults: what its clients do to it, what may befall it meanwhile, and the model of what must be so.

One store and storage; processes come and go. Each operation notes in the model what was acknowledged.
"""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from kit.settings import Settings
from registry.collected import Wish
from registry.collector import Collector
from registry.errors import (
    BlobUploadUnknown,
    ManifestBlobUnknown,
    ManifestUnknown,
    RegistryError,
    Unavailable,
)
from registry.home import move_in
from registry.images import Push, put_image
from registry.manifests import read_manifest
from registry.names import algorithm_of, digest_of
from registry.uploads import Uploads
from state.base import Base
from state.blobs import BlobLink, unlink_blob
from state.images import Image, get_tag
from state.repositories import Repository
from state.store import Session, Store
from tests.support.frail_registry import Crash, FlowingClock, FrailStorage, FrailStore, Steps
from tests.support.registry_model import (
    DATA,
    GRACE,
    NAMES,
    Fault,
    Model,
    Sent,
    is_late,
)

ACCOUNT = "123456789012"


class RegistryAmidFaults(RuleBasedStateMachine):
    """Operations and faults, for a machine whose rules call them."""

    ground: Store
    data: Path

    def __init__(self) -> None:
        super().__init__()
        self.ground.transact(_empty)
        self.clock, self.steps = FlowingClock(), Steps()
        self.store, self.storage = FrailStore(self.ground, self.steps), FrailStorage(self.clock, self.steps)
        self.settings = Settings(data=self.data)
        self.model = Model()
        # What was deleted, by whomever, while one operation went on.
        self.deleted: set[tuple[str, str]] = set()
        self.begin_process()
        move_in(self.ground, self.storage)
        for name in NAMES:
            self.make_repository(name)

    def begin_process(self) -> None:
        self.uploads = Uploads(self.store, self.storage, clock=self.clock, account=ACCOUNT)

    def make_repository(self, name: str) -> None:
        self.ground.transact(lambda session: session.add(Repository(name=name, created_at=self.clock.now())))

    def attempt(self, work: Callable[[], Any], fault: Fault | None, *expected: type[RegistryError]) -> Any:
        """What ``work`` answers; None when it was refused as expected, or its process ended."""
        self.deleted.clear()
        between = self.steps.at(fault.step, lambda: self.befall(fault)) if fault is not None else nullcontext()
        try:
            with between:
                return work()
        except expected:
            return None
        except Crash:
            self.begin_process()
            return None

    def befall(self, fault: Fault) -> None:
        match fault.what:
            case "crash":
                raise Crash
            case "collect":
                self.collect_once()
            case "collect later":
                self.clock.tick(hours=25)
                self.collect_once()
            case "killed collect":
                self.clock.tick(hours=25)
                try:
                    with self.steps.at(fault.killed_at, self.die):
                        self.collect_once()
                except Crash:
                    pass
            case "unlink":
                self.deleted.add((fault.name, fault.digest))
                self.model.take_away(fault.name, fault.digest)
                self.ground.transact(lambda session: unlink_blob(session, fault.name, fault.digest))
            case "mount":
                self.mount_into(fault.name, fault.digest)
            case "push":
                data = next(each for each in DATA if digest_of(each, algorithm_of(fault.digest)) == fault.digest)
                try:
                    self.send(fault.name, data, fault.digest)
                except Unavailable:
                    return
                self.tell(fault.name, fault.digest)

    @staticmethod
    def die() -> None:
        raise Crash

    def send(self, name: str, data: bytes, digest: str) -> str:
        uploads = Uploads(self.store, self.storage, clock=self.clock, account=ACCOUNT)
        upload = uploads.begin(name)
        incoming = uploads.write(name, upload, digest=digest)
        try:
            for start in range(0, len(data), 10):
                incoming.write(data[start : start + 10])
            incoming.finish(digest)
        finally:
            incoming.close()
        return digest

    def mount_into(self, name: str, digest: str) -> bool:
        return self.uploads.mount(name, digest, may_read=lambda session, holders: bool(holders))

    def collect_once(self) -> None:
        Collector(self.store, self.storage, clock=self.clock, settings=self.settings).collect(Wish(grace=GRACE))

    def put_manifest(self, name: str, tag: str | None, members: dict[str, Any], fault: Fault | None) -> None:
        body = json.dumps({"schemaVersion": 2, **members}).encode()
        digest, manifest = digest_of(body), read_manifest(body, None)
        parts = {*manifest.blobs, *manifest.images}
        push = Push(digest=digest, body=body, manifest=manifest, tags=[tag] if tag else [])
        before = self.tag(name, tag)
        there = self.ground.read(lambda session: session.get(Image, (name, digest))) is not None
        safe = all(self.counts_on(name, part) for part in parts)

        def work() -> bool:
            self.store.transact(lambda session: put_image(session, name, push, account=ACCOUNT, now=self.clock.now()))
            return True

        refused: list[ManifestBlobUnknown] = []

        def watched() -> Any:
            try:
                return work()
            except ManifestBlobUnknown as error:
                refused.append(error)
                raise

        done = self.attempt(watched, fault, ManifestBlobUnknown)
        assert not (refused and safe and not self.deleted and not is_late(fault)), f"all of {parts} was there"
        kept = self.ground.read(lambda session: session.get(Image, (name, digest))) is not None
        assert kept or not done
        assert not refused or kept == there
        if kept and not there:
            # All or nothing: a new image has the tag that it came with.
            assert tag is None or self.tag(name, tag) == digest
            self.model.images[name, digest] = {part for part in parts if (name, part) not in self.deleted}
            self.model.bodies[name, digest] = body
        if tag is not None:
            after = self.tag(name, tag)
            assert after == digest if done else after in (before, digest)
            if after is not None:
                self.model.tags[name, tag] = after

    def change(self, work: Callable[[Session], Any], fault: Fault | None) -> None:
        def changed() -> bool:
            self.store.transact(work)
            return True

        self.attempt(changed, fault, ManifestUnknown)

    def tell(self, name: str, digest: str) -> None:
        if (name, digest) not in self.deleted:
            self.model.told[name, digest] = self.clock.now()

    def counts_on(self, name: str, digest: str) -> bool:
        """Whether somebody may count on the blob, or the image, being there."""
        if (name, digest) in self.model.images or self.model.needs(name, digest):
            return True
        told_at = self.model.told.get((name, digest))
        return told_at is not None and self.clock.now() - told_at < GRACE

    def is_linked(self, name: str, digest: str) -> bool:
        return self.ground.read(lambda session: session.get(BlobLink, (name, digest))) is not None

    def tag(self, name: str, tag: str | None) -> str | None:
        found = self.ground.read(lambda session: get_tag(session, name, tag)) if tag else None
        return found.digest if found is not None else None

    def pick_upload(self, pick: int) -> tuple[str, Sent]:
        # By when they began: their names are new every time.
        upload = [*self.model.uploads][pick % len(self.model.uploads)]
        return upload, self.model.uploads[upload]

    def look_at(self, upload: str, sent: bytes) -> None:
        """Learn how far an upload is after something went wrong, as its client would."""
        session = self.model.uploads[upload]
        try:
            offset = self.uploads.offset(session.name, upload)
        except BlobUploadUnknown:
            del self.model.uploads[upload]
            return
        assert len(session.data) <= offset <= len(session.data) + len(sent), "bytes that arrived are gone"
        session.data += sent[: offset - len(session.data)]
        session.touched_at = self.clock.now()


def _empty(session: Session) -> None:
    for table in reversed(Base.metadata.sorted_tables):
        session.execute(table.delete())
