"""The cache as two processes of ``berth registry`` on one store and one storage: one fetch, also when one is killed."""

import hashlib
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from state.blobs import get_blob_anywhere
from state.images import get_image
from tests.conformance.cache.conftest import add_rule
from tests.support.berth import until
from tests.support.registry import RegistryClient, sha256
from tests.support.registry_replicas import Replica, registry_replicas
from tests.support.upstream import Upstream

NAME = "hub/library/tool"
LARGE = bytes(range(256)) * 4096 * 8
LAYERS = (LARGE, b"base" * 100_000, b"more")


@pytest.fixture
def replicas(tmp_path: Path, postgresql_url: str, upstream: Upstream) -> Iterator[list[Replica]]:
    with registry_replicas(tmp_path, postgresql_url) as running:
        add_rule(running[0].client, upstream)
        yield running


def pull(registry: RegistryClient, *, password: str) -> str:
    """The whole image as a client pulls it, each blob verified; the manifest's digest. Raises where anything fails."""
    with requests.Session() as session:
        session.trust_env, session.auth = False, ("AWS", password)
        manifest = session.get(registry.url(f"{NAME}/manifests/v1"), timeout=120)
        manifest.raise_for_status()
        said = manifest.json()
        for digest in [each["digest"] for each in (said["config"], *said["layers"])]:
            with session.get(registry.url(f"{NAME}/blobs/{digest}"), timeout=120, stream=True) as answer:
                answer.raise_for_status()
                found = hashlib.sha256()
                for piece in answer.iter_content(256 * 1024):
                    found.update(piece)
                assert f"sha256:{found.hexdigest()}" == digest
    return sha256(manifest.content)


def test_many_first_pulls_over_two_processes_are_one_fetch(replicas: list[Replica], upstream: Upstream) -> None:
    digest = upstream.add_image("library/tool", "v1", *LAYERS)
    gate = upstream.gates["v1"] = threading.Event()
    password = replicas[0].client.password
    with ThreadPoolExecutor(131) as pool:
        pulls = [pool.submit(pull, replicas[each % 2].client, password=password) for each in range(131)]
        until("somebody has asked the upstream", lambda: upstream.asked["GET v1"])
        gate.set()
        assert {each.result() for each in pulls} == {digest}
    assert dict(upstream.fetched) == {"v1": 1, **{sha256(data): 1 for data in (b"{}", *LAYERS)}}


def test_when_one_is_killed_in_the_middle_the_other_fetches(replicas: list[Replica], upstream: Upstream) -> None:
    digest = upstream.add_image("library/tool", "v1", *LAYERS)
    middle = upstream.halfway[sha256(LARGE)] = threading.Event()
    doomed, other = replicas
    store, password = other.client.store, other.client.password
    with ThreadPoolExecutor(41) as pool:
        lost: Future[str] = pool.submit(pull, doomed.client, password=password)
        until("the first process has half of the layer", lambda: upstream.fetched[sha256(LARGE)])
        pulls = [pool.submit(pull, other.client, password=password) for _ in range(40)]
        doomed.kill()
        assert lost.exception() is not None
        assert store.read(lambda session: get_blob_anywhere(session, sha256(LARGE))) is None
        assert other.client.storage.size(sha256(LARGE)) is None
        assert store.read(lambda session: get_image(session, NAME, digest)) is None
        middle.set()
        assert {each.result() for each in pulls} == {digest}
    # Once by each process.
    assert upstream.fetched[sha256(LARGE)] == 2


def test_one_that_was_away_for_too_long_does_no_harm_when_it_is_back(
    replicas: list[Replica], upstream: Upstream
) -> None:
    digest = upstream.add_image("library/tool", "v1", *LAYERS)
    middle = upstream.halfway[sha256(LARGE)] = threading.Event()
    away, other = replicas
    store, password = other.client.store, other.client.password
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(pull, away.client, password=password)
        until("the first process has half of the layer", lambda: upstream.fetched[sha256(LARGE)])
        away.process.send_signal(signal.SIGSTOP)
        try:
            second = pool.submit(pull, other.client, password=password)
            until("the other fetches", lambda: upstream.fetched[sha256(LARGE)] == 2)
            middle.set()
            assert second.result() == digest
        finally:
            away.process.send_signal(signal.SIGCONT)
        assert first.result() == digest
    for replica in replicas:
        assert pull(replica.client, password=password) == digest
    until("nothing is left over", lambda: not list(other.client.storage.uploads()))
    assert store.read(lambda session: get_image(session, NAME, digest)) is not None
