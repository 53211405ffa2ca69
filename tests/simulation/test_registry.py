"""The registry against a model: pushes, mounts, deletions, cancellations, collections and crashes in any order.

Between any two steps of one the process may end, or another process do something. What must hold after each: an
image whose push was acknowledged is whole, a tag is what it was made last, a blob that is shown has its bytes, and
what was acknowledged is not collected before its time. In the end, nothing is left that nobody needs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import event, func, select

from registry.errors import (
    BlobUploadUnknown,
    DigestInvalid,
    OutOfOrder,
    Unavailable,
)
from registry.images import remove_image, remove_tag
from registry.names import algorithm_of, digest_of
from state.base import Base
from state.blobs import Blob, BlobLink, unlink_blob
from state.images import Image, get_tag, list_tags
from state.repositories import delete_repository
from state.store import Session, Store
from state.uploads import Upload
from tests.support.registry import OCI_INDEX, OCI_MANIFEST
from tests.support.registry_amid_faults import RegistryAmidFaults
from tests.support.registry_model import (
    GRACE,
    NAMES,
    Fault,
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

WAYS = (("collect", "push"), ("collect", "mount"), ("push", "collect"), ("push", "killed collect"))


class RegistryMachine(RegistryAmidFaults):
    """The rules, and what must hold after each."""

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


def _described(data: bytes, algorithm: str) -> dict[str, Any]:
    return {"mediaType": "application/x", "digest": digest_of(data, algorithm), "size": len(data)}


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
