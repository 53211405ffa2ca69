"""Images, tags and blobs in the store, on both databases: order, what goes with what, and pushes side by side."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from kit.clock import ManualClock
from registry.errors import NameUnknown, TagImmutable
from registry.images import Push, put_image
from registry.manifests import read_manifest
from registry.storage.memory import MemoryStorage
from registry.uploads import Uploads
from state.base import Base
from state.blobs import Blob, BlobLink, keep_blob, linked_sizes
from state.images import (
    Image,
    Reference,
    Tag,
    delete_image,
    known_images,
    list_image_ids,
    list_images,
    list_tags,
    lists_that_need,
    tags_of,
)
from state.repositories import Repository, delete_repository, list_repositories
from state.store import Session, Store
from state.uploads import Upload
from tests.support.registry import OCI_INDEX, OCI_MANIFEST, image_of, sha256

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ACCOUNT = "123456789012"


@pytest.fixture
def store(store: Store) -> Store:
    store.transact(lambda session: session.add(Repository(name="web", created_at=NOW)))
    return store


def put(store: Store, *tags: str, layer: bytes = b"layer", repository: str = "web") -> str:
    """Push an image of one layer; its digest."""

    def work(session: Session) -> str:
        for data in (b"{}", layer):
            keep_blob(session, repository, sha256(data), len(data), now=NOW)
        session.flush()
        return push(session, json.dumps(image_of(layer)).encode(), *tags, repository=repository)

    return store.transact(work)


def put_list(store: Store, *children: str) -> str:
    entries = [{"mediaType": OCI_MANIFEST, "digest": child, "size": 1} for child in children]
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    return store.transact(lambda session: push(session, body))


def push(session: Session, body: bytes, *tags: str, repository: str = "web") -> str:
    manifest = Push(digest=sha256(body), body=body, manifest=read_manifest(body, None), tags=tags)
    return put_image(session, repository, manifest, account=ACCOUNT, now=NOW).digest


def count(store: Store, entity: type[Base]) -> int:
    return store.read(lambda session: session.scalar(select(func.count()).select_from(entity))) or 0


def test_names_and_tags_are_in_the_order_of_their_bytes(store: Store) -> None:
    names = ["a-b", "a.b", "a/b", "a0", "a_b", "ab", "b"]
    store.transact(lambda session: session.add_all(Repository(name=name, created_at=NOW) for name in names))
    found = store.read(lambda session: [each.name for each in list_repositories(session, after=None, limit=100)])
    assert found == sorted([*names, "web"])
    later = store.read(lambda session: [each.name for each in list_repositories(session, after="a0", limit=2)])
    assert later == ["a_b", "ab"]
    tags = ["B", "_x", "a", "a-1", "a.1", "a_1", "Z"]
    put(store, *tags)
    assert store.read(lambda session: [tag.name for tag in list_tags(session, "web")]) == sorted(tags)


def test_images_are_listed_by_whether_they_have_a_tag(store: Store) -> None:
    tagged, bare = put(store, "v1", "v2"), put(store, layer=b"bare")

    def listed(tagged: bool | None) -> list[str]:
        return store.read(lambda session: [i.digest for i in list_images(session, "web", tagged=tagged, limit=9)])

    assert (listed(True), listed(False), listed(None)) == ([tagged], [bare], sorted([tagged, bare]))
    ids = store.read(lambda session: list_image_ids(session, "web"))
    assert ids == sorted([(tagged, "v1"), (tagged, "v2"), (bare, None)], key=lambda found: (found[0], found[1] or ""))
    assert store.read(lambda session: list_image_ids(session, "web", tagged=False)) == [(bare, None)]
    assert store.read(lambda session: tags_of(session, "web", [tagged, bare])) == {tagged: ["v1", "v2"]}


def test_a_deleted_image_takes_its_tags_and_references_and_leaves_blobs(store: Store) -> None:
    digest, other = put(store, "v1", "v2"), put(store, "stays", layer=b"other")
    store.transact(lambda session: delete_image(session, "web", digest))
    assert store.read(lambda session: [tag.name for tag in list_tags(session, "web")]) == ["stays"]
    assert store.read(lambda session: list(known_images(session, "web", [digest, other]))) == [other]
    assert (count(store, Reference), count(store, Blob), count(store, BlobLink)) == (2, 3, 3)


def test_a_deleted_repository_takes_everything_but_the_blobs_and_other_repositories(store: Store) -> None:
    store.transact(lambda session: session.add(Repository(name="other", created_at=NOW)))
    put(store, "v1")
    put(store, "v1", repository="other")
    store.transact(lambda session: session.add(Upload(id="u", repository="web", started_at=NOW)))
    store.transact(lambda session: delete_repository(session, "web"))
    counts = [count(store, entity) for entity in (Image, Tag, Reference, BlobLink, Upload, Blob)]
    assert counts == [1, 1, 2, 2, 0, 2]


def test_lists_know_their_parts_and_have_their_size(store: Store) -> None:
    one, two = put(store, layer=b"1" * 10), put(store, layer=b"2" * 20)
    both = put_list(store, one, two)
    assert store.read(lambda session: list(lists_that_need(session, "web", one))) == [both]
    assert store.read(lambda session: known_images(session, "web", [both])) == {both: 34}


def test_many_digests_are_asked_for_at_once(store: Store) -> None:
    layers = [b"%d" % number for number in range(1200)]

    def keep(session: Session) -> None:
        for layer in layers:
            keep_blob(session, "web", sha256(layer), len(layer), now=NOW)

    store.transact(keep)
    asked = [sha256(layer) for layer in [*layers, b"not there"]]
    assert len(store.read(lambda session: linked_sizes(session, "web", asked))) == 1200


def test_of_many_pushes_at_once_to_an_immutable_tag_one_wins(store: Store) -> None:
    def fix(session: Session) -> None:
        repository = session.get(Repository, "web")
        assert repository is not None
        repository.tag_mutability = "IMMUTABLE"

    store.transact(fix)

    def attempt(number: int) -> str | None:
        try:
            return put(store, "v1", layer=b"%d" % number)
        except TagImmutable:
            return None

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(attempt, range(6)))
    (winner,) = filter(None, outcomes)
    assert store.read(lambda session: [tag.digest for tag in list_tags(session, "web")]) == [winner]
    assert count(store, Image) == 1


def test_the_same_blob_pushed_by_many_at_once_is_kept_once(store: Store) -> None:
    clock = ManualClock()
    storage = MemoryStorage(clock=clock)

    def attempt(number: int) -> None:
        uploads = Uploads(store, storage, clock=clock, account=ACCOUNT)
        incoming = uploads.write("web", uploads.begin("web"))
        incoming.write(b"the same")
        incoming.finish(sha256(b"the same"))
        incoming.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(attempt, range(6)))
    assert [count(store, entity) for entity in (Blob, BlobLink, Upload)] == [1, 1, 0]


def test_a_repository_deleted_while_layers_arrive_ends_in_an_error_and_no_leftovers(store: Store) -> None:
    clock = ManualClock()
    storage = MemoryStorage(clock=clock)

    def attempt(number: int) -> bool:
        uploads = Uploads(store, storage, clock=clock, account=ACCOUNT)
        try:
            if number == 3:
                store.transact(lambda session: delete_repository(session, "web"))
                return True
            incoming = uploads.write("web", uploads.begin("web"))
            try:
                incoming.write(b"%d" % number)
                incoming.finish(sha256(b"%d" % number))
            finally:
                incoming.close()
        except NameUnknown:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(attempt, range(6)))
    assert [count(store, entity) for entity in (Repository, BlobLink, Upload)] == [0, 0, 0]
