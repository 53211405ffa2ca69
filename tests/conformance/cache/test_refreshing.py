"""Tags that are here already: asked about once a day or at a client's wish, and served whatever the upstream does."""

import threading
from typing import Any

import pytest

from kit.clock import ManualClock
from registry.cache.cache import TRIED_AGAIN_AFTER
from state.images import get_image
from state.repositories import get_repository
from state.store import Session
from tests.support.registry import RegistryClient
from tests.support.upstream import Upstream

NAME = "hub/library/tool"
NO_CACHE = {"Cache-Control": "no-cache"}
DAY = 86400


@pytest.fixture
def first(registry: RegistryClient, upstream: Upstream) -> str:
    """The digest of an image that was pulled through."""
    digest = upstream.add_image("library/tool", "v1", b"first")
    assert registry.call("GET", f"{NAME}/manifests/v1").status_code == 200
    for _ in range(2000):
        if registry.store.read(lambda session: get_image(session, NAME, digest)) is not None:
            break
        threading.Event().wait(0.005)
    upstream.asked.clear()
    return digest


def pulled(registry: RegistryClient, **given: Any) -> str:
    # A token lasts half a day.
    answer = registry.call("GET", f"{NAME}/manifests/v1", **{"auth": ("AWS", registry.token()), **given})
    assert answer.status_code == 200, answer.text
    return answer.headers["Docker-Content-Digest"]


def test_within_a_day_nobody_is_asked_and_then_once(
    registry: RegistryClient, upstream: Upstream, clock: ManualClock, first: str
) -> None:
    clock.tick(seconds=DAY - 1)
    assert pulled(registry) == first
    assert not upstream.asked
    clock.tick(seconds=2)
    assert [pulled(registry) for _ in range(3)] == [first] * 3
    assert dict(upstream.asked) == {"HEAD v1": 1}


def test_a_tag_that_has_moved_is_followed(
    registry: RegistryClient, upstream: Upstream, clock: ManualClock, first: str
) -> None:
    second = upstream.add_image("library/tool", "v1", b"second")
    assert pulled(registry) == first
    clock.tick(seconds=DAY + 1)
    assert pulled(registry) == second
    assert registry.store.read(lambda session: get_image(session, NAME, first)) is not None
    upstream.failing["*"] = 500
    assert pulled(registry) == second


@pytest.mark.parametrize("status", [401, 404, 429, 500, 418])
def test_whatever_the_upstream_says_the_image_here_is_served(
    registry: RegistryClient, upstream: Upstream, clock: ManualClock, first: str, status: int
) -> None:
    upstream.failing["*"] = status
    clock.tick(seconds=DAY + 1)
    assert [pulled(registry) for _ in range(3)] == [first] * 3
    assert upstream.asked["HEAD v1"] == 1
    upstream.failing.clear()
    second = upstream.add_image("library/tool", "v1", b"second")
    clock.tick(seconds=TRIED_AGAIN_AFTER.total_seconds() + 1)
    assert pulled(registry) == (first if status == 404 else second)


def test_an_image_that_cannot_be_fetched_whole_does_not_take_the_place_of_another(
    registry: RegistryClient, upstream: Upstream, clock: ManualClock, first: str
) -> None:
    second = upstream.add_image("library/tool", "v1", b"second")
    for path in [each for each in upstream.things if "/blobs/" in each]:
        kind, data = upstream.things[path]
        upstream.things[path] = (kind, data[:-1])
    clock.tick(seconds=DAY + 1)
    assert pulled(registry) == first
    assert registry.store.read(lambda session: get_image(session, NAME, second)) is None


def test_no_cache_asks_now(registry: RegistryClient, upstream: Upstream, first: str) -> None:
    second = upstream.add_image("library/tool", "v1", b"second")
    assert pulled(registry) == first
    assert pulled(registry, headers=NO_CACHE) == second
    assert pulled(registry) == second
    upstream.failing["*"] = 500
    answer = registry.call("GET", f"{NAME}/manifests/v1", headers=NO_CACHE)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "UNAVAILABLE")


def test_no_cache_is_for_those_who_may_import(registry: RegistryClient, upstream: Upstream, first: str) -> None:
    upstream.add_image("library/tool", "v1", b"second")
    reader = ("AWS", registry.token(key_id="reader", actions=["ecr:BatchGetImage"]))
    assert pulled(registry, headers=NO_CACHE, auth=reader) == first
    assert not upstream.asked


def test_what_was_pushed_here_since_is_its_owners(
    registry: RegistryClient, upstream: Upstream, clock: ManualClock, first: str
) -> None:
    own = registry.push_image(NAME, "v1", layer=b"own")
    upstream.asked.clear()
    clock.tick(seconds=DAY + 1)
    assert pulled(registry) == own
    assert not upstream.asked
    assert pulled(registry, headers=NO_CACHE) == first


def test_an_immutable_tag_stays(registry: RegistryClient, upstream: Upstream, clock: ManualClock, first: str) -> None:
    def freeze(session: Session) -> None:
        repository = get_repository(session, NAME)
        assert repository is not None
        repository.tag_mutability = "IMMUTABLE"

    registry.store.transact(freeze)
    upstream.add_image("library/tool", "v1", b"second")
    clock.tick(seconds=DAY + 1)
    assert [pulled(registry) for _ in range(3)] == [first] * 3
    assert upstream.asked["HEAD v1"] == 1
