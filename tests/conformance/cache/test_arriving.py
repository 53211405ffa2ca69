"""Large blobs are sent on while they arrive, fetched once for all, and taken up again where an upstream broke off."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from orchestrator.cli.bounded_http import BoundedHttp
from registry.cache.downloads import ATTEMPTS
from registry.storage import Storage, StorageError
from registry.storage.filesystem import FilesystemStorage
from registry.storage.memory import MemoryStorage
from registry.storage.s3 import S3Storage
from state.blobs import get_blob
from state.images import get_image
from tests.conformance.cache.conftest import add_rule
from tests.support.berth import until
from tests.support.registry import RegistryClient, running_registry, sha256
from tests.support.upstream import Upstream

NAME = "hub/library/tool"
LAYER = random.Random(7).randbytes(12 * 1024 * 1024)
HALF, DIGEST = len(LAYER) // 2, sha256(LAYER)
PATH = f"/v2/library/tool/blobs/{DIGEST}"


@pytest.fixture(params=["filesystem", "memory", "s3"])
def any_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    match request.param:
        case "filesystem":
            return FilesystemStorage(tmp_path / "blobs")
        case "memory":
            return MemoryStorage()
    return S3Storage(request.getfixturevalue("s3_bucket"), piece=1024 * 1024)


@pytest.fixture
def image(upstream: Upstream) -> str:
    return upstream.add_image("library/tool", "v1", LAYER)


@pytest.fixture(params=["auto", BoundedHttp], ids=["copied", "by the kernel"])
def served(request: pytest.FixtureRequest, upstream: Upstream, tmp_path: Path) -> Iterator[RegistryClient]:
    with running_registry(tmp_path, http=request.param) as running:
        add_rule(running, upstream)
        yield running


@contextmanager
def asked_for(registry: RegistryClient, **headers: str) -> Iterator[requests.Response]:
    """The layer's answer, of which the body is still to come."""
    answer = requests.get(
        registry.url(f"{NAME}/blobs/{DIGEST}"),
        auth=("AWS", registry.password),
        headers=headers,
        stream=True,
        timeout=60,
    )
    with answer:
        yield answer


def breaks_off(answer: requests.Response) -> None:
    """The answer ends before all of it has come."""
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        for _ in answer.iter_content(256 * 1024):
            pass


def kept(registry: RegistryClient) -> bool:
    return registry.store.read(lambda session: get_blob(session, NAME, DIGEST)) is not None


def pull(registry: RegistryClient) -> None:
    """Ask for the image, which brings its layers on their way."""
    assert registry.call("GET", f"{NAME}/manifests/v1").status_code == 200


def test_all_who_ask_are_sent_what_has_arrived(any_storage: Storage, upstream: Upstream, tmp_path: Path) -> None:
    digest = upstream.add_image("library/tool", "v1", LAYER)
    middle = upstream.halfway[DIGEST] = threading.Event()
    # What of it S3 can show are whole pieces.
    first = HALF - HALF % (1024 * 1024)
    with running_registry(tmp_path, storage=any_storage, blob_delivery="proxy") as registry:
        add_rule(registry, upstream)
        pull(registry)
        with asked_for(registry) as one, asked_for(registry) as other:
            for answer in (one, other):
                assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(LAYER)))
                assert answer.raw.read(first) == LAYER[:first]
            assert not kept(registry)
            middle.set()
            assert [each.raw.read() for each in (one, other)] == [LAYER[first:]] * 2
        until("it is kept", lambda: registry.store.read(lambda session: get_image(session, NAME, digest)) is not None)
        assert registry.call("GET", f"{NAME}/blobs/{DIGEST}").content == LAYER
    assert upstream.fetched[DIGEST] == 1


def test_a_part_is_sent_once_the_whole_is_verified(served: RegistryClient, upstream: Upstream, image: str) -> None:
    middle = upstream.halfway[DIGEST] = threading.Event()
    pull(served)
    with asked_for(served) as whole, ThreadPoolExecutor(1) as pool:
        whole.raw.read(HALF // 2)
        part = pool.submit(served.call, "GET", f"{NAME}/blobs/{DIGEST}", headers={"Range": "bytes=100-2999999"})
        middle.set()
        assert part.result().status_code == 206
        assert part.result().content == LAYER[100:3000000]
        assert whole.raw.read() == LAYER[HALF // 2 :]


def test_who_goes_away_does_not_stop_the_fetch(served: RegistryClient, upstream: Upstream, image: str) -> None:
    middle = upstream.halfway[DIGEST] = threading.Event()
    pull(served)
    with asked_for(served) as gone, asked_for(served) as stays:
        gone.raw.read(1000)
        gone.close()
        middle.set()
        assert stays.raw.read() == LAYER
    assert upstream.fetched[DIGEST] == 1


def test_nobody_is_sent_the_whole_of_something_else(served: RegistryClient, upstream: Upstream, image: str) -> None:
    upstream.things[PATH] = ("application/octet-stream", LAYER[:-1] + b"?")
    middle = upstream.halfway[DIGEST] = threading.Event()
    pull(served)
    with asked_for(served) as one, ThreadPoolExecutor(1) as pool:
        assert one.raw.read(HALF // 2) == LAYER[: HALF // 2]
        part = pool.submit(served.call, "GET", f"{NAME}/blobs/{DIGEST}", headers={"Range": "bytes=0-99"})
        middle.set()
        breaks_off(one)
        assert part.result().status_code == 502
    assert not kept(served)
    assert served.storage.size(DIGEST) is None
    until("what was fetched is cleared away", lambda: not list(served.storage.uploads()))


@pytest.mark.parametrize("ranges", ["honest", "ignored"])
def test_a_fetch_that_breaks_goes_on_where_it_was(
    served: RegistryClient, upstream: Upstream, image: str, ranges: str
) -> None:
    upstream.ranges = ranges
    upstream.breaking[DIGEST] = [5_000_000, 3_000_000] if ranges == "honest" else [5_000_000, 8_000_000]
    pull(served)
    with asked_for(served) as answer:
        assert answer.raw.read() == LAYER
    assert upstream.ranged == ["bytes=5000000-", "bytes=8000000-"]
    assert upstream.fetched[DIGEST] == 3
    until("it is kept", lambda: kept(served))


def test_a_fetch_that_breaks_again_and_again_is_given_up(
    served: RegistryClient, upstream: Upstream, image: str
) -> None:
    upstream.breaking[DIGEST] = [1_000_000] * 100
    pull(served)
    with asked_for(served) as answer:
        breaks_off(answer)
    assert upstream.fetched[DIGEST] == ATTEMPTS
    assert not kept(served)
    upstream.breaking.clear()
    # Who asks in the very next moment may still be told of it.
    until("it is fetched anew", lambda: served.call("GET", f"{NAME}/blobs/{DIGEST}").content == LAYER)


def test_another_part_than_was_asked_for_is_not_taken(served: RegistryClient, upstream: Upstream, image: str) -> None:
    upstream.ranges, upstream.breaking[DIGEST] = "other", [5_000_000]
    pull(served)
    with asked_for(served) as answer:
        breaks_off(answer)
    assert upstream.fetched[DIGEST] == 2
    assert not kept(served)


def test_a_disk_that_fills_ends_the_answer_and_leaves_nothing(upstream: Upstream, image: str, tmp_path: Path) -> None:
    storage = MemoryStorage(room=HALF)
    with running_registry(tmp_path, storage=storage) as registry:
        add_rule(registry, upstream)
        pull(registry)
        with asked_for(registry) as answer:
            breaks_off(answer)
        assert not kept(registry)
        until("it is cleared away", lambda: not list(storage.uploads()))
        storage.room = None
        until("it is fetched anew", lambda: registry.call("GET", f"{NAME}/blobs/{DIGEST}").content == LAYER)


class Stuck(MemoryStorage):
    """A storage in which nothing can be removed."""

    def drop(self, upload: str) -> None:
        raise StorageError("stuck")


def test_nobody_waits_for_what_cannot_be_cleared_away(upstream: Upstream, image: str, tmp_path: Path) -> None:
    upstream.things[PATH] = ("application/octet-stream", LAYER[:-1] + b"?")
    with running_registry(tmp_path, storage=Stuck()) as registry:
        add_rule(registry, upstream)
        pull(registry)
        with asked_for(registry) as answer:
            breaks_off(answer)
        assert not kept(registry)
