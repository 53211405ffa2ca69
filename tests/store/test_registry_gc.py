"""Collecting garbage while others push, with processes killed and interrupted at every step, on both databases."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, cast

import pytest
from sqlalchemy import delete, event, select

from kit.clock import ManualClock, SystemClock
from kit.settings import Settings
from registry.collector import HELD, Collected, Collector, Wish
from registry.errors import ManifestBlobUnknown, ManifestUnknown, RegistryError
from registry.images import Push, put_image, remove_image
from registry.manifests import read_manifest
from registry.storage import Storage
from registry.storage.filesystem import FilesystemStorage
from registry.storage.memory import MemoryStorage
from registry.uploads import Uploads
from state.base import Base
from state.blobs import Blob, BlobLink, get_blob, unlink_blob
from state.images import Image, Reference
from state.repositories import Repository, delete_repository
from state.store import Session, Store
from tests.support.interrupted import InterruptedStorage, InterruptedStore, Interruption, Killed, kill
from tests.support.registry import OCI_INDEX, OCI_MANIFEST, descriptor, image_of, sha256

ACCOUNT = "123456789012"
GRACE = timedelta(hours=24)
AT_ONCE = Wish(grace=timedelta(0))


class FlowingClock(ManualClock):
    """A manual clock on which waiting takes no time."""

    def wait(self, event: threading.Event, timeout: timedelta) -> bool:
        self.tick(seconds=timeout.total_seconds())
        return event.is_set()


def _quick(connection: Any, record: Any, proxy: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")


class World:
    """A registry without a door, as any number of processes work on it."""

    def __init__(self, url: str, storage: Storage | None = None, clock: Any = None) -> None:
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
        store, storage = self.process(interruption)
        self.told = []

        def tell(what: str, name: str, size: int) -> None:
            self.told.append((what, name, size))

        return Collector(store, storage, clock=self.clock, settings=Settings(**settings), tell=tell).collect(wish)

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

    def forget(self) -> None:
        """As at the beginning, but for the repositories."""

        def empty(session: Session) -> None:
            for table in (Image, BlobLink, Blob):
                session.execute(delete(table))

        self.store.transact(empty)
        for digest, _ in tuple(self.storage.blobs()):
            self.storage.delete(digest)
        for upload, _ in tuple(self.storage.uploads()):
            self.storage.drop(upload)


@pytest.fixture
def world(store_url: str) -> Iterator[World]:
    world = World(store_url)
    yield world
    world.store.close()


def test_a_layer_that_no_image_needs_goes_after_the_grace_time(world: World) -> None:
    world.push(b"needed", tags=("1",))
    world.push_blob(b"never used")
    wish = Wish(grace=GRACE)
    assert (world.collect(wish).waiting, world.collect(wish).blobs) == (1, 0)
    world.clock.tick(hours=23)
    assert world.collect(wish).blobs == 0
    world.clock.tick(hours=2)
    done = world.collect(wish)
    assert (done.links, done.blobs, done.bytes) == (1, 1, len(b"never used"))
    assert world.kept(b"needed") and not world.kept(b"never used")
    world.check_clean()


def test_layers_of_a_deleted_image_go_and_shared_ones_stay(world: World) -> None:
    gone = world.push(b"base", b"old")
    world.push(b"base", b"new")
    world.remove(gone)
    assert world.collect().blobs == 1
    assert [world.kept(data) for data in (b"base", b"old", b"new")] == [True, False, True]


def test_blobs_of_a_deleted_repository_go_unless_another_one_shows_them(world: World) -> None:
    world.push(b"shared", b"own", repository="api")
    world.push(b"shared")
    world.store.transact(lambda session: delete_repository(session, "api"))
    assert world.collect().blobs == 1
    world.check_clean()


def test_a_layer_found_anew_is_waited_for_anew(world: World) -> None:
    wish = Wish(grace=GRACE)
    world.push_blob(b"layer")
    world.collect(wish)
    world.clock.tick(hours=25)
    world.push_blob(b"layer")
    assert world.collect(wish).blobs == 0
    world.clock.tick(hours=20)
    assert world.collect(wish).blobs == 0
    world.put(json.dumps(image_of(b"layer", config=b"layer")).encode())
    world.clock.tick(hours=20)
    assert world.collect(wish).blobs == 0
    world.check_clean()


def test_a_dry_run_tells_what_the_collector_then_does_and_changes_nothing(world: World) -> None:
    world.push(b"needed", tags=("1",))
    world.remove(world.push(b"old", b"older"))
    world.push_blob(b"loose", "api")
    world.push_blob(b"left")
    world.store.transact(lambda session: unlink_blob(session, "web", sha256(b"left")))
    for grace in (GRACE, timedelta(0)):
        foreseen = world.collect(Wish(grace=grace, dry=True))
        told = sorted(world.told)
        assert world.kept(b"old") and world.kept(b"loose", "api")
        assert world.collect(Wish(grace=grace)) == foreseen
        assert sorted(world.told) == told
    world.check_clean()


def test_untagged_images_go_only_when_asked_and_never_what_something_here_needs(world: World) -> None:
    part = world.push(b"part")
    child = {"mediaType": OCI_MANIFEST, "digest": part, "size": 1}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}
    world.put(json.dumps(index).encode(), tags=("list",), media=OCI_INDEX)
    tagged = world.push(b"tagged", tags=("1",))
    about = world.push(b"about", subject={**descriptor(b"x", OCI_MANIFEST), "digest": tagged})
    untagged = world.push(b"untagged")
    world.clock.tick(hours=25)
    assert world.collect(Wish(grace=GRACE)).images == 0
    assert world.collect(Wish(grace=GRACE, untagged=True, dry=True)).images == 1
    assert world.collect(Wish(grace=GRACE, untagged=True)).images == 1
    left = set(world.store.read(lambda session: session.scalars(select(Image.digest)).all()))
    assert left >= {part, tagged, about} and untagged not in left


def fill(world: World) -> tuple[set[str], bytes]:
    """Something of everything that can be garbage; the digests of images that stay, and a layer that goes."""
    world.forget()
    stays = {world.push(b"base", b"one", tags=("1",)), world.push(b"base", repository="api", tags=("1",))}
    world.remove(world.push(b"base", b"gone"))
    world.push_blob(b"loose", "api")
    world.push_blob(b"left")
    world.store.transact(lambda session: unlink_blob(session, "web", sha256(b"left")))
    uploads = world.uploads()
    # Two pushes that were killed: one after its bytes were kept, one while they came.
    for data in (b"orphan", b"abandoned"):
        upload = uploads.begin("web")
        with world.storage.append(upload) as spool:
            spool.write(data)
        if data == b"orphan":
            world.storage.keep(upload, sha256(data))
    world.clock.tick(hours=25)
    return stays, b"left"


def test_a_collector_killed_at_any_step_loses_nothing_and_leaves_nothing_for_ever(world: World) -> None:
    steps = 0
    while True:
        stays, _ = fill(world)
        interruption = Interruption(steps, kill)
        with suppress(Killed):
            world.collect(interruption=interruption)
        world.check()
        left = set(world.store.read(lambda session: session.scalars(select(Image.digest)).all()))
        assert left == stays
        world.collect_at_last()
        if not interruption.happened:
            break
        steps += 1
    assert steps > 30


def test_a_push_killed_at_any_step_leaves_nothing_for_ever(world: World) -> None:
    steps = 0
    while True:
        world.forget()
        world.push(b"base", tags=("1",))
        interruption = Interruption(steps, kill)
        with suppress(Killed):
            world.push_blob(b"layer", interruption=interruption)
        world.check()
        world.collect_at_last()
        if not interruption.happened:
            break
        steps += 1
    assert steps > 8


@pytest.mark.parametrize(("data", "killed"), [(b"left", False), (b"left", True), (b"orphan", False), (b"gone", True)])
def test_a_push_at_any_step_of_a_collection_ends_with_its_bytes(world: World, data: bytes, killed: bool) -> None:
    """Pushed in whole between two steps of the collector, and the collector killed afterwards or not."""
    steps, happened = 0, True
    while happened:
        fill(world)
        pushed: list[str] = []

        def push(pushed: list[str] = pushed) -> None:
            pushed.append(world.push(data, tags=("pushed",)))
            if killed:
                raise Killed

        interruption = Interruption(steps, push)
        # Refused where the collector stands still at a step for as long as the push is willing to wait.
        with suppress(Killed, RegistryError):
            world.collect(interruption=interruption)
        world.check()
        happened = interruption.happened
        assert not pushed or world.kept(data)
        steps += 1
    assert steps > 30


@pytest.mark.parametrize("grace", [timedelta(0), GRACE])
def test_a_collection_at_any_step_of_a_push_takes_nothing_from_it(world: World, grace: timedelta) -> None:
    for data in (b"left", b"orphan", b"gone"):
        steps, happened = 0, True
        while happened:
            fill(world)
            interruption = Interruption(steps, partial(world.collect, Wish(grace=grace)))
            world.push_blob(data, interruption=interruption)
            world.check()
            # Without any grace time the link may be gone again, but never the bytes alone.
            assert grace == timedelta(0) or world.kept(data)
            happened = interruption.happened
            steps += 1
        assert steps > 8


def test_two_collectors_in_one_another_end_as_one_alone(world: World) -> None:
    steps, happened = 0, True
    while happened:
        fill(world)
        interruption = Interruption(steps, world.collect)
        world.collect(interruption=interruption)
        world.check()
        world.check_clean()
        happened = interruption.happened
        steps += 1


def test_a_push_of_what_a_dead_collector_was_removing_goes_through_once_it_is_taken_over(world: World) -> None:
    world.push(b"base", tags=("1",))
    world.push_blob(b"layer")
    world.store.transact(lambda session: unlink_blob(session, "web", sha256(b"layer")))
    steps = 0
    while not world.store.read(
        lambda session: session.scalars(select(Blob).where(Blob.condemned_until.is_not(None))).all()
    ):
        with pytest.raises(Killed):
            world.collect(interruption=Interruption(steps, kill))
        steps += 1
    with pytest.raises(RegistryError, match="is being removed"):
        world.push_blob(b"layer")
    world.check()
    world.clock.tick(seconds=HELD.total_seconds() + 1)
    world.collect(Wish(grace=GRACE))
    world.push_blob(b"layer")
    world.check()
    assert world.kept(b"layer")


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_pushes_mounts_deletes_collections_and_crashes_keeps_what_is_needed(
    world: World, seed: int
) -> None:
    chance = random.Random(seed)
    layers = [bytes([65 + number]) * (number + 1) for number in range(4)]
    expected: dict[tuple[str, str], bytes] = {}

    def push() -> None:
        data, repository = chance.choice(layers), chance.choice(("web", "api"))
        digest = world.push(data, repository=repository)
        expected[repository, digest] = data

    def mount() -> None:
        world.uploads().mount(
            chance.choice(("web", "api")), sha256(chance.choice(layers)), may_read=lambda session, names: True
        )

    def remove() -> None:
        if expected:
            (repository, digest), _ = key = chance.choice(sorted(expected.items()))
            world.remove(digest, repository)
            del expected[key[0]]

    def collect() -> None:
        world.collect(Wish(grace=chance.choice((timedelta(0), timedelta(minutes=1)))))

    def push_blob() -> None:
        world.push_blob(chance.choice(layers), interruption=Interruption(chance.randrange(16), chance.choice(others)))

    def collect_interrupted() -> None:
        world.collect(interruption=Interruption(chance.randrange(40), chance.choice(others)))

    def wait() -> None:
        world.clock.tick(minutes=chance.choice((1, 30)))

    others: list[Callable[[], None]] = [push, mount, remove, collect, kill, wait]
    for _ in range(60):
        try:
            chance.choice([*others, push_blob, collect_interrupted])()
        except (Killed, ManifestBlobUnknown, ManifestUnknown):
            pass
        except RegistryError as error:
            assert "is being removed" in str(error)
        world.check()
        for (repository, _), data in expected.items():
            assert world.kept(data, repository)
    world.collect_at_last()


def test_pushers_and_collectors_at_the_same_time_never_part_a_row_from_its_bytes(store_url: str, tmp_path: Any) -> None:
    world = World(store_url, FilesystemStorage(tmp_path / "registry"), SystemClock())
    layers = [f"layer {number}".encode() for number in range(3)]
    world.push(b"kept", tags=("kept",))
    troubles: list[BaseException] = []
    images: list[int] = []
    ended = threading.Event()

    def push(seed: int) -> None:
        chance = random.Random(seed)
        for number in range(25):
            repository, data = chance.choice(("web", "api")), chance.choice(layers)
            try:
                digest = world.push(data, repository=repository, annotations={"by": f"{seed} {number}"})
            except ManifestBlobUnknown:
                # Without any grace time a layer may be gone before its manifest comes.
                continue
            images.append(1)
            if chance.random() < 0.8:
                world.remove(digest, repository)

    def collect() -> None:
        while not ended.is_set():
            Collector(world.store, world.storage, clock=world.clock, settings=Settings()).collect(AT_ONCE)

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as trouble:
            troubles.append(trouble)

    pushers = [threading.Thread(target=guarded, args=(partial(push, seed),)) for seed in range(4)]
    collectors = [threading.Thread(target=guarded, args=(collect,)) for _ in range(2)]
    for thread in (*pushers, *collectors):
        thread.start()
    for thread in pushers:
        thread.join()
    ended.set()
    for thread in collectors:
        thread.join()
    assert troubles == []
    world.check()
    assert world.kept(b"kept") and images
    world.collect()
    world.check()
    world.store.close()
