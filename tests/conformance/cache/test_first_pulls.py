"""First pulls: one fetch for everybody, everything kept whole, and honest answers where that cannot be."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from kit.clock import ManualClock, SystemClock
from registry.cache.claims import LASTS
from state.images import get_image, get_tag
from state.repositories import get_repository
from state.upstream_claims import UpstreamClaim
from tests.conformance.cache.conftest import add_rule
from tests.support.registry import RegistryClient, running_registry, sha256
from tests.support.upstream import Upstream

NAME = "hub/library/tool"
LAYERS = (b"base" * 100_000, b"more")


def wait_until_kept(registry: RegistryClient, digest: str) -> None:
    """Until the image is in the store, whole."""
    for _ in range(2000):
        if registry.store.read(lambda session: get_image(session, NAME, digest)) is not None:
            return
        threading.Event().wait(0.005)
    raise AssertionError("never kept")


def test_an_image_is_pulled_through_by_tag_and_kept(registry: RegistryClient, upstream: Upstream) -> None:
    digest = upstream.add_image("library/tool", "v1", *LAYERS)
    answer = registry.call("GET", f"{NAME}/manifests/v1")
    assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (200, digest)
    assert sha256(answer.content) == digest
    for data in (b"{}", *LAYERS):
        assert registry.call("GET", f"{NAME}/blobs/{sha256(data)}").content == data
    wait_until_kept(registry, digest)
    upstream.failing["*"] = 500
    assert registry.call("GET", f"{NAME}/manifests/v1").content == answer.content
    assert registry.call("GET", f"{NAME}/manifests/{digest}").content == answer.content
    assert registry.call("GET", f"{NAME}/tags/list").json()["tags"] == ["v1"]
    assert set(upstream.fetched.values()) == {1}


def test_an_image_is_pulled_through_by_digest(registry: RegistryClient, upstream: Upstream) -> None:
    digest = upstream.add_image("library/tool", None, *LAYERS)
    assert registry.call("GET", f"{NAME}/manifests/{digest}").status_code == 200
    wait_until_kept(registry, digest)
    assert registry.call("HEAD", f"{NAME}/manifests/{digest}").status_code == 200
    assert upstream.fetched[digest] == 1


def test_head_pulls_through_as_clients_ask_by_it_first(registry: RegistryClient, upstream: Upstream) -> None:
    digest = upstream.add_image("library/tool", "v1", *LAYERS)
    answer = registry.call("HEAD", f"{NAME}/manifests/v1")
    assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (200, digest)
    assert registry.call("GET", f"{NAME}/manifests/{digest}").status_code == 200
    wait_until_kept(registry, digest)
    assert upstream.fetched["v1"] + upstream.fetched[digest] == 1


def test_of_a_list_only_the_images_that_somebody_asks_for(registry: RegistryClient, upstream: Upstream) -> None:
    one = upstream.add_image("library/tool", None, b"amd64")
    other = upstream.add_image("library/tool", None, b"arm64")
    index = upstream.add_index("library/tool", "multi", one, other)
    assert registry.call("GET", f"{NAME}/manifests/multi").status_code == 200
    wait_until_kept(registry, index)
    assert registry.call("GET", f"{NAME}/manifests/{one}").status_code == 200
    assert registry.call("GET", f"{NAME}/blobs/{sha256(b'amd64')}").content == b"amd64"
    assert upstream.fetched[other] == upstream.fetched[sha256(b"arm64")] == 0


def test_many_first_pulls_are_one_fetch(registry: RegistryClient, upstream: Upstream) -> None:
    digest = upstream.add_image("library/tool", "v1", *LAYERS)
    references = [f"manifests/{'v1'}", *(f"blobs/{sha256(data)}" for data in (b"{}", *LAYERS))]
    gate = upstream.gates["v1"] = threading.Event()
    arrived = threading.Semaphore(0)

    def pull(number: int) -> list[int]:
        with requests.Session() as session:
            session.trust_env, session.auth = False, ("AWS", registry.password)
            session.get(registry.url("/v2/"), timeout=60)
            arrived.release()
            return [session.get(registry.url(f"{NAME}/{each}"), timeout=120).status_code for each in references]

    with ThreadPoolExecutor(131) as pool:
        pulls = [pool.submit(pull, number) for number in range(131)]
        for _ in pulls:
            arrived.acquire()
        gate.set()
        assert all(each.result() == [200, 200, 200, 200] for each in pulls)
    wait_until_kept(registry, digest)
    assert dict(upstream.fetched) == {"v1": 1, **{sha256(data): 1 for data in (b"{}", *LAYERS)}}


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_two_registries_on_one_store_fetch_once(
    request: pytest.FixtureRequest, upstream: Upstream, tmp_path: Path, database: str
) -> None:
    url = request.getfixturevalue("postgres").new_database() if database == "postgresql" else None
    upstream.add_image("library/tool", "v1", *LAYERS)
    gates = upstream.gates["v1"] = threading.Event()
    clock = SystemClock()
    with ExitStack() as stack:
        one = stack.enter_context(running_registry(tmp_path, clock=clock, url=url))
        other = stack.enter_context(running_registry(tmp_path, clock=clock, storage=one.storage, url=url))
        add_rule(one, upstream)

        def pull(registry: RegistryClient) -> list[int]:
            paths = ["manifests/v1", *(f"blobs/{sha256(data)}" for data in (b"{}", *LAYERS))]
            password = registry.password
            return [
                requests.get(registry.url(f"{NAME}/{each}"), auth=("AWS", password), timeout=60).status_code
                for each in paths
            ]

        with ThreadPoolExecutor(40) as pool:
            pulls = [pool.submit(pull, each) for each in [one, other] * 20]
            while upstream.asked["GET v1"] == 0:
                threading.Event().wait(0.01)
            gates.set()
            assert all(each.result() == [200] * 4 for each in pulls)
    assert dict(upstream.fetched) == {"v1": 1, **{sha256(data): 1 for data in (b"{}", *LAYERS)}}


def test_the_claim_of_a_process_that_died_runs_out(upstream: Upstream, tmp_path: Path) -> None:
    upstream.add_image("library/tool", "v1", *LAYERS)
    clock = ManualClock()
    with running_registry(tmp_path, clock=clock) as registry:
        add_rule(registry, upstream)
        claim = UpstreamClaim(repository=NAME, reference="v1", holder="dead", expires_at=clock.now() + LASTS)
        registry.store.transact(lambda session: session.add(claim))
        with ThreadPoolExecutor(1) as pool:
            pull = pool.submit(registry.call, "GET", f"{NAME}/manifests/v1")
            threading.Event().wait(0.2)
            assert not pull.done()
            clock.tick(seconds=LASTS.total_seconds() + 1)
            assert pull.result().status_code == 200


def test_the_repository_is_made_by_its_template(registry: RegistryClient, upstream: Upstream) -> None:
    registry.add_template("hub", "PULL_THROUGH_CACHE")
    upstream.add_image("library/tool", "v1", *LAYERS)
    assert registry.call("GET", f"{NAME}/manifests/v1").status_code == 200
    made = registry.store.read(lambda session: get_repository(session, NAME))
    assert made is not None
    assert made.tag_mutability == "IMMUTABLE"


@pytest.mark.parametrize(
    ("status", "told", "code"),
    [
        (404, 404, "MANIFEST_UNKNOWN"),
        (401, 403, "DENIED"),
        (429, 429, "TOOMANYREQUESTS"),
        (500, 503, "UNAVAILABLE"),
        (418, 502, "UNAVAILABLE"),
    ],
)
def test_what_the_upstream_refuses_is_told_and_soon_forgotten(
    registry: RegistryClient, upstream: Upstream, clock: ManualClock, status: int, told: int, code: str
) -> None:
    upstream.add_image("library/tool", "v1", *LAYERS)
    upstream.failing["v1"] = status
    for _ in range(3):
        answer = registry.call("GET", f"{NAME}/manifests/v1")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (told, code)
    assert upstream.asked["GET v1"] <= 2
    assert registry.store.read(lambda session: get_repository(session, NAME)) is None
    del upstream.failing["v1"]
    clock.tick(seconds=3)
    assert registry.call("GET", f"{NAME}/manifests/v1").status_code == 200


def test_an_upstream_that_is_gone_is_told(registry: RegistryClient, upstream: Upstream) -> None:
    add_rule(registry, upstream, prefix="gone", upstream_url="http://127.0.0.1:1")
    answer = registry.call("GET", "gone/tool/manifests/v1")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "UNAVAILABLE")


def test_lies_are_not_kept(registry: RegistryClient, upstream: Upstream, clock: ManualClock) -> None:
    digest = upstream.add_image("library/tool", "v1", *LAYERS)
    true = upstream.things[f"/v2/library/tool/blobs/{sha256(LAYERS[1])}"]
    upstream.things[f"/v2/library/tool/blobs/{sha256(LAYERS[1])}"] = (true[0], b"other")
    assert registry.call("GET", f"{NAME}/manifests/v1").status_code == 200
    answer = registry.call("GET", f"{NAME}/blobs/{sha256(LAYERS[1])}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (502, "UNAVAILABLE")
    assert registry.store.read(lambda session: get_tag(session, NAME, "v1")) is None
    upstream.things[f"/v2/library/tool/blobs/{sha256(LAYERS[1])}"] = true
    clock.tick(seconds=3)
    assert registry.call("GET", f"{NAME}/manifests/v1").status_code == 200
    wait_until_kept(registry, digest)
    upstream.things[f"/v2/library/tool/manifests/{sha256(b'x')}"] = upstream.things["/v2/library/tool/manifests/v1"]
    answer = registry.call("GET", f"{NAME}/manifests/{sha256(b'x')}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (502, "UNAVAILABLE")


def test_who_may_not_import_has_what_is_here_alone(registry: RegistryClient, upstream: Upstream) -> None:
    digest = upstream.add_image("library/tool", "v1", *LAYERS)
    read = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    reader = ("AWS", registry.token(key_id="reader", actions=read))
    importer = ("AWS", registry.token(key_id="importer", actions=[*read, "ecr:BatchImportUpstreamImage"]))
    for auth, missing in ((reader, "BatchImportUpstreamImage"), (importer, "CreateRepository")):
        answer = registry.call("GET", f"{NAME}/manifests/v1", auth=auth)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "DENIED")
        assert missing in answer.json()["errors"][0]["message"]
    assert registry.call("HEAD", f"{NAME}/manifests/v1", auth=reader).status_code == 404
    assert not upstream.asked
    assert registry.call("GET", f"{NAME}/manifests/v1").status_code == 200
    wait_until_kept(registry, digest)
    assert registry.call("GET", f"{NAME}/manifests/v1", auth=reader).status_code == 200
    assert registry.call("GET", f"{NAME}/manifests/v2", auth=reader).status_code == 403
    upstream.add_image("library/tool", "v2", b"two")
    assert registry.call("GET", f"{NAME}/manifests/v2", auth=importer).status_code == 200


def test_names_outside_of_the_prefix_are_not_asked_for(registry: RegistryClient, upstream: Upstream) -> None:
    assert registry.call("GET", "other/tool/manifests/v1").status_code == 404
    assert registry.call("GET", f"{NAME}/blobs/{sha256(b'x')}").status_code == 404
    assert not upstream.asked
