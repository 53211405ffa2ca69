"""Images and layers that the ECR API pulls through from an upstream on a real socket."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests

from orchestrator.api.ecr import ecr as service
from orchestrator.api.ecr import pulling
from state.cached_tags import get_cached_tag
from state.images import get_image
from state.pull_through_rules import PullThroughRule
from state.store import Session, Store
from tests.support.berth import until
from tests.support.loopback import KEY, Loopback
from tests.support.refusals import refused_code
from tests.support.registry import RegistryClient, image_of, sha256
from tests.support.upstream import Upstream, running_upstream

NAME = "hub/library/tool"
READS = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


@pytest.fixture
def upstream(registry: RegistryClient) -> Iterator[Upstream]:
    with running_upstream() as running:
        now = registry.clock.now()
        rule = PullThroughRule(
            prefix="hub",
            upstream_url=f"http://{running.address}",
            upstream_prefix="ROOT",
            created_at=now,
            updated_at=now,
        )
        registry.store.transact(lambda session: session.add(rule))
        yield running


def get(ecr: Any, *image_ids: dict[str, str], **members: Any) -> dict[str, Any]:
    answer: dict[str, Any] = ecr.batch_get_image(repositoryName=NAME, imageIds=list(image_ids), **members)
    return answer


def codes(answer: dict[str, Any]) -> list[str]:
    assert not answer["images"]
    return [each["failureCode"] for each in answer["failures"]]


def refused(call: Any, **request: Any) -> str:
    return refused_code(call, repositoryName=NAME, **request)


def wait_until_kept(store: Store, digest: str) -> None:
    until("it is kept", lambda: store.read(lambda session: get_image(session, NAME, digest)) is not None)


@pytest.fixture
def allowed(ecr_plane: Loopback) -> Iterator[Callable[..., Any]]:
    """Makes a client that may do the actions given, and nothing else."""
    with ExitStack() as held:

        def make(*actions: str) -> Any:
            who = replace(KEY.caller, principal_arn="arn:aws:iam::123456789012:user/x", actions=actions)
            key = replace(KEY, caller=who)
            plane = Loopback(
                str(ecr_plane.store.url),
                [service],
                settings=ecr_plane.settings,
                secrets=ecr_plane.secrets,
                storage=ecr_plane.storage,
                find_key={key.access_key_id: key}.get,
            )
            held.callback(plane.close)
            return plane.client("ecr", key)

        yield make


def test_an_image_is_pulled_through_by_tag_and_by_digest(
    ecr: Any, registry: RegistryClient, upstream: Upstream
) -> None:
    digest = upstream.add_image("library/tool", "v1", b"layer")
    other = upstream.add_image("library/tool", None, b"other")
    answer = get(ecr, {"imageTag": "v1"}, {"imageDigest": other}, {"imageTag": "none"})
    assert [each["imageId"] for each in answer["images"]] == [
        {"imageDigest": digest, "imageTag": "v1"},
        {"imageDigest": other},
    ]
    for image in answer["images"]:
        assert sha256(image["imageManifest"].encode()) == image["imageId"]["imageDigest"]
        assert image["imageManifestMediaType"] == image_of()["mediaType"]
        assert (image["registryId"], image["repositoryName"]) == ("123456789012", NAME)
    assert [each["failureCode"] for each in answer["failures"]] == ["ImageNotFound"]
    wait_until_kept(registry.store, digest)
    wait_until_kept(registry.store, other)
    upstream.failing["*"] = 500
    assert get(ecr, {"imageTag": "v1"})["images"] == answer["images"][:1]
    assert registry.call("GET", f"{NAME}/manifests/v1").status_code == 200
    assert upstream.fetched["v1"] == upstream.fetched[other] == upstream.fetched[sha256(b"layer")] == 1


def test_a_tag_that_stands_for_another_digest_is_told(ecr: Any, upstream: Upstream) -> None:
    upstream.add_image("library/tool", "v1", b"layer")
    assert codes(get(ecr, {"imageTag": "v1", "imageDigest": sha256(b"x")})) == ["ImageTagDoesNotMatchDigest"]
    answer = get(ecr, {"imageTag": "v1"}, acceptedMediaTypes=["application/vnd.oci.image.index.v1+json"])
    assert codes(answer) == ["ImageNotFound"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "ImageNotFound"),
        (403, "UpstreamAccessDenied"),
        (429, "UpstreamTooManyRequests"),
        (500, "UpstreamUnavailable"),
        (418, "UpstreamUnavailable"),
    ],
)
def test_what_the_upstream_refuses_is_told(ecr: Any, upstream: Upstream, status: int, code: str) -> None:
    upstream.failing["*"] = status
    expected = "RepositoryNotFoundException" if status == 404 else "UnableToGetUpstreamImageException"
    assert refused(ecr.batch_get_image, imageIds=[{"imageTag": "v1"}]) == expected
    ecr.create_repository(repositoryName=NAME)
    assert codes(get(ecr, {"imageTag": "v1"})) == [code]
    layer = "LayersNotFoundException" if status == 404 else "UnableToGetUpstreamLayerException"
    assert refused(ecr.get_download_url_for_layer, layerDigest=sha256(b"x")) == layer


def test_an_answer_is_waited_for_a_moment(
    ecr: Any, registry: RegistryClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "_WAITED", 0.2)
    digest = upstream.add_image("library/tool", "v1", b"layer")
    gate = upstream.gates["v1"] = threading.Event()
    ecr.create_repository(repositoryName=NAME)
    assert codes(get(ecr, {"imageTag": "v1"})) == ["UpstreamUnavailable"]
    gate.set()
    wait_until_kept(registry.store, digest)
    assert get(ecr, {"imageTag": "v1"})["images"]
    assert upstream.fetched["v1"] == 1


def test_a_layer_is_pulled_through_and_downloaded(ecr: Any, registry: RegistryClient, upstream: Upstream) -> None:
    large = bytes(range(256)) * 4096 * 8
    upstream.add_image("library/tool", "v1", b"layer", large)
    ecr.create_repository(repositoryName=NAME)
    for data in (b"layer", large):
        link = ecr.get_download_url_for_layer(repositoryName=NAME, layerDigest=sha256(data))["downloadUrl"]
        assert requests.get(link, timeout=60).content == data
    assert upstream.fetched[sha256(b"layer")] == upstream.fetched[sha256(large)] == 1


def test_who_may_not_import_has_what_is_here_alone(
    ecr: Any, allowed: Callable[..., Any], registry: RegistryClient, upstream: Upstream
) -> None:
    digest = upstream.add_image("library/tool", "v1", b"layer")
    reader = allowed(*READS)
    importer = allowed(*READS, "ecr:BatchImportUpstreamImage")
    for client in (reader, importer):
        assert refused(client.batch_get_image, imageIds=[{"imageTag": "v1"}]) == "RepositoryNotFoundException"
    ecr.create_repository(repositoryName=NAME)
    assert codes(get(reader, {"imageTag": "v1"})) == ["ImageNotFound"]
    assert refused(reader.get_download_url_for_layer, layerDigest=sha256(b"layer")) == "LayersNotFoundException"
    assert not upstream.asked
    assert get(importer, {"imageTag": "v1"})["images"]
    wait_until_kept(registry.store, digest)
    assert get(reader, {"imageTag": "v1"})["images"]


def test_a_tag_is_asked_about_again_when_it_is_due(ecr: Any, registry: RegistryClient, upstream: Upstream) -> None:
    first = upstream.add_image("library/tool", "v1", b"first")
    get(ecr, {"imageTag": "v1"})
    wait_until_kept(registry.store, first)
    second = upstream.add_image("library/tool", "v1", b"second")
    assert get(ecr, {"imageTag": "v1"})["images"][0]["imageId"]["imageDigest"] == first
    registry.store.transact(make_due)
    upstream.failing["*"] = 500
    assert get(ecr, {"imageTag": "v1"})["images"][0]["imageId"]["imageDigest"] == first
    upstream.failing.clear()
    registry.store.transact(make_due)
    # Who asks while the one before is still being told hears the same.
    until("it is followed", lambda: get(ecr, {"imageTag": "v1"})["images"][0]["imageId"]["imageDigest"] == second)


def make_due(session: Session) -> None:
    row = get_cached_tag(session, NAME, "v1")
    assert row is not None
    row.due_at -= timedelta(days=2)
