"""The registry against a model: pushes, mounts, deletions, cancellations, collections and crashes in any order.

Between any two steps of one the process may end, or another process do something. What must hold after each: an
image whose push was acknowledged is whole, a tag is what it was made last, a blob that is shown has its bytes, and
what was acknowledged is not collected before its time. In the end, nothing is left that nobody needs.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import event, func, select

from kit.settings import Settings
from registry.collected import Wish
from registry.collector import Collector
from registry.errors import (
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestUnknown,
    OutOfOrder,
    RegistryError,
    Unavailable,
)
from registry.home import move_in
from registry.images import Push, put_image, remove_image, remove_tag
from registry.manifests import read_manifest
from registry.names import algorithm_of, digest_of
from registry.uploads import Uploads
from state.base import Base
from state.blobs import Blob, BlobLink, unlink_blob
from state.images import Image, get_tag, list_tags
from state.repositories import Repository, delete_repository
from state.store import Session, Store
from state.uploads import Upload
from tests.support.frail_registry import Crash, FlowingClock, FrailStorage, FrailStore, Steps
from tests.support.registry import OCI_INDEX, OCI_MANIFEST
from tests.support.registry_model import (
    DATA,
    GRACE,
    NAMES,
    Fault,
    Model,
    Sent,
    algorithms,
    contents,
    digests,
    faults,
    is_late,
    names,
    picks,
    tags,
)

ACCOUNT = "123456789012"
WAYS = (("collect", "push"), ("collect", "mount"), ("push", "collect"), ("push", "killed collect"))


class RegistryMachine(RuleBasedStateMachine):
    """One store and storage; processes come and go."""

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

    # What clients and operators do.

    @rule(name=names, data=contents, algorithm=algorithms, fault=faults)
    def push_blob(self, name: str, data: bytes, algorithm: str, fault: Fault | None) -> None:
        digest = digest_of(data, algorithm)
        # Where so much time goes by in the middle, the session is abandoned.
        errors = (Unavailable, BlobUploadUnknown) if is_late(fault) else (Unavailable,)
        if self.attempt(lambda: self.send(name, data, digest), fault, *errors) is not None:
            self.tell(name, digest)

    @rule(name=names, algorithm=algorithms)
    def begin(self, name: str, algorithm: str) -> None:
        upload = self.uploads.begin(name, algorithm=algorithm)
        self.model.uploads[upload] = Sent(name=name, touched_at=self.clock.now())

    @precondition(lambda self: self.model.uploads)
    @rule(pick=picks, data=contents, fault=faults, gap=st.integers(0, 1))
    def append(self, pick: int, data: bytes, fault: Fault | None, gap: int) -> None:
        upload, session = self.pick_upload(pick)

        def work() -> bool:
            incoming = self.uploads.write(session.name, upload, at=len(session.data) + gap)
            try:
                incoming.write(data)
                incoming.flush()
            finally:
                incoming.close()
            return True

        wrote = self.attempt(work, fault, *([OutOfOrder] if gap else []), BlobUploadUnknown)
        assert not (wrote and gap)
        self.look_at(upload, data)
        assert not wrote or upload not in self.model.uploads or self.model.uploads[upload].data.endswith(data)

    @precondition(lambda self: self.model.uploads)
    @rule(pick=picks, algorithm=algorithms, right=st.sampled_from((True, True, False)), fault=faults)
    def finish(self, pick: int, algorithm: str, right: bool, fault: Fault | None) -> None:
        upload, session = self.pick_upload(pick)
        digest = digest_of(session.data + (b"" if right else b"!"), algorithm)

        def work() -> bool:
            incoming = self.uploads.write(session.name, upload, digest=digest)
            try:
                incoming.finish(digest)
            finally:
                incoming.close()
            return True

        errors = [BlobUploadUnknown, Unavailable] if right else [BlobUploadUnknown, DigestInvalid]
        done = self.attempt(work, fault, *errors)
        assert right or not done
        if done:
            del self.model.uploads[upload]
            self.tell(session.name, digest)
        else:
            self.look_at(upload, b"")

    @precondition(lambda self: self.model.uploads)
    @rule(pick=picks, fault=faults)
    def cancel(self, pick: int, fault: Fault | None) -> None:
        upload, session = self.pick_upload(pick)

        def work() -> bool:
            self.uploads.cancel(session.name, upload)
            return True

        if self.attempt(work, fault, BlobUploadUnknown):
            del self.model.uploads[upload]
        else:
            self.look_at(upload, b"")

    @rule(name=names, digest=digests(), fault=faults)
    def mount(self, name: str, digest: str, fault: Fault | None) -> None:
        safe = any(self.counts_on(each, digest) for each in NAMES)
        mounted = self.attempt(lambda: self.mount_into(name, digest), fault)
        if mounted:
            self.tell(name, digest)
        elif mounted is False:
            late = is_late(fault)
            assert not safe or late or any(gone == digest for _, gone in self.deleted), (
                f"{digest} was there to be mounted"
            )

    @rule(name=names, tag=tags, parts=st.lists(contents, max_size=3), algorithm=algorithms, fault=faults)
    def put(self, name: str, tag: str | None, parts: list[bytes], algorithm: str, fault: Fault | None) -> None:
        config, *layers = [_described(data, algorithm) for data in [*parts, b""]][::-1]
        self.put_manifest(name, tag, {"mediaType": OCI_MANIFEST, "config": config, "layers": layers}, fault)

    @precondition(lambda self: self.model.images)
    @rule(tag=tags, picked=st.lists(picks, min_size=1, max_size=2), fault=faults)
    def put_list(self, tag: str | None, picked: list[int], fault: Fault | None) -> None:
        known = sorted(self.model.images)
        name = known[picked[0] % len(known)][0]
        here = [digest for home, digest in known if home == name]
        children = [{"mediaType": OCI_MANIFEST, "digest": here[pick % len(here)], "size": 1} for pick in picked]
        self.put_manifest(name, tag, {"mediaType": OCI_INDEX, "manifests": children}, fault)

    @precondition(lambda self: self.model.tags)
    @rule(pick=picks, fault=faults)
    def delete_tag(self, pick: int, fault: Fault | None) -> None:
        name, tag = key = sorted(self.model.tags)[pick % len(self.model.tags)]
        self.change(lambda session: remove_tag(session, name, tag, now=self.clock.now()), fault)
        now = self.ground.read(lambda session: get_tag(session, name, tag))
        if now is None:
            del self.model.tags[key]

    @precondition(lambda self: self.model.images)
    @rule(pick=picks, fault=faults)
    def delete_image(self, pick: int, fault: Fault | None) -> None:
        name, digest = sorted(self.model.images)[pick % len(self.model.images)]
        self.change(lambda session: remove_image(session, name, digest, now=self.clock.now()), fault)
        if not self.ground.read(lambda session: session.get(Image, (name, digest))):
            self.model.forget_image(name, digest)

    @rule(name=names, digest=digests(), fault=faults)
    def delete_blob(self, name: str, digest: str, fault: Fault | None) -> None:
        self.change(lambda session: unlink_blob(session, name, digest), fault)
        if not self.is_linked(name, digest):
            self.model.take_away(name, digest)

    @rule(name=names)
    def delete_repository(self, name: str) -> None:
        self.ground.transact(lambda session: delete_repository(session, name))
        for home, digest in [*self.model.images, *self.model.told]:
            if home == name:
                self.model.forget_image(name, digest)
        self.model.uploads = {key: value for key, value in self.model.uploads.items() if value.name != name}
        self.make_repository(name)

    @rule(fault=faults)
    def collect(self, fault: Fault | None) -> None:
        def work() -> bool:
            self.collect_once()
            return True

        self.attempt(work, fault)

    @rule(name=names, data=contents, algorithm=algorithms, step=st.integers(0, 16), way=st.sampled_from(WAYS))
    def collect_what_comes_back(self, name: str, data: bytes, algorithm: str, step: int, way: tuple[str, str]) -> None:
        """The narrow place: a blob that nobody shows is collected just when somebody sends it again."""
        digest = digest_of(data, algorithm)
        self.push_blob(name, data, algorithm, None)
        for each in NAMES:
            self.delete_blob(each, digest, None)
        first, between = way
        fault = Fault(step=step, what=between, name=name, digest=digest, killed_at=step % 5)
        if first == "collect":
            self.collect(fault)
        else:
            self.push_blob(name, data, algorithm, fault)

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.clock.tick(hours=hours)

    @rule()
    def restart(self) -> None:
        self.begin_process()

    # What must hold.

    @invariant()
    def what_is_shown_has_its_bytes(self) -> None:
        def look(session: Session) -> list[tuple[str, int, bool]]:
            rows = session.execute(select(Blob.digest, Blob.size, Blob.condemned_until).join(BlobLink))
            return [(digest, size, until is None) for digest, size, until in rows]

        for digest, size, sound in self.ground.read(look):
            assert sound, f"{digest} is shown and condemned"
            with self.storage.open(digest) as blob:
                data = blob.read()
            assert (len(data), digest_of(data, algorithm_of(digest))) == (size, digest)

    @invariant()
    def what_was_told_holds(self) -> None:
        now = self.clock.now()
        for (name, digest), at in self.model.told.items():
            assert now - at >= GRACE or self.is_linked(name, digest), f"{digest} was told to be in {name}"
        for (name, digest), parts in self.model.images.items():
            image = self.ground.read(lambda session: session.get(Image, (name, digest)))  # noqa: B023
            assert image is not None, f"image {digest} was put into {name}"
            for part in parts:
                assert (name, part) in self.model.images or self.is_linked(name, part), f"{digest} needs {part}"

    @invariant()
    def tags_are_as_they_were_made(self) -> None:
        def look(session: Session) -> dict[tuple[str, str], str]:
            return {(name, tag.name): tag.digest for name in NAMES for tag in list_tags(session, name)}

        assert self.ground.read(look) == self.model.tags

    def teardown(self) -> None:
        """When nobody needs anything, a few collections leave nothing."""
        for name in NAMES:
            self.ground.transact(lambda session: delete_repository(session, name))  # noqa: B023
        for _ in range(3):
            self.clock.tick(hours=49)
            self.collect_once()
        assert [*self.storage.blobs()] == []
        assert [*self.storage.uploads()] == []
        for table in (Blob, Upload):
            assert self.ground.read(lambda session: session.scalar(select(func.count()).select_from(table))) == 0  # noqa: B023

    # How it is done.

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


def _described(data: bytes, algorithm: str) -> dict[str, Any]:
    return {"mediaType": "application/x", "digest": digest_of(data, algorithm), "size": len(data)}


def _empty(session: Session) -> None:
    for table in reversed(Base.metadata.sorted_tables):
        session.execute(table.delete())


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store in a file, which no power failure threatens."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('registry') / 'store.db'}")

    @event.listens_for(store.engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    Base.metadata.create_all(store.engine)
    yield store
    store.close()


def test_whatever_happens_in_between_nothing_is_lost_and_nothing_is_left(ground: Store, tmp_path: Path) -> None:
    """Hypothesis prints the steps of a failure, and the blob that repeats it."""

    class Machine(RegistryMachine):
        pass

    Machine.ground, Machine.data = ground, tmp_path
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            # Without explaining: that would run each step traced.
            phases=(Phase.generate, Phase.shrink),
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
