"""The hot path of pulls: it answers as the routes do, and not a moment longer than they would."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from kit.clock import ManualClock
from orchestrator.cli.bounded_http import BoundedHttp
from registry.access import FRESH, RENEWED_AFTER
from registry.app import ROUTES
from registry.http import blobs, cached, quick
from registry.pulls import EXCLUDED_FOR, NOTED_EVERY
from state.access_keys import AccessKey
from state.images import Image
from state.pull_exclusions import PullExclusion
from state.pull_through_rules import PullThroughRule
from state.repositories import Repository
from tests.support.registry import OCI_MANIFEST, RegistryClient, basic, image_of, running_registry


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[RegistryClient]:
    url = request.getfixturevalue("postgres").new_database() if request.param == "postgresql" else None
    with running_registry(tmp_path, clock=clock, url=url, http=BoundedHttp) as running:
        running.make_repository("web")
        yield running


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The references that were looked up by the routes."""
    seen: list[str] = []
    found = cached.find_image

    def find(session: Any, repository: str, reference: str, **given: Any) -> Any:
        seen.append(reference)
        return found(session, repository, reference, **given)

    monkeypatch.setattr(cached, "find_image", find)
    return seen


def pull(registry: RegistryClient, reference: str, method: str = "GET", **given: Any) -> requests.Response:
    return registry.call(method, f"web/manifests/{reference}", **given)


def change(registry: RegistryClient, entity: Any, key: Any, **columns: Any) -> None:
    def work(session: Any) -> None:
        row = session.get(entity, key)
        for name, value in columns.items():
            setattr(row, name, value)

    registry.store.transact(work)


def add(registry: RegistryClient, row: Any) -> None:
    registry.store.transact(lambda session: session.add(row))


def shown(answer: requests.Response) -> Any:
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in ("date", "connection")}
    return answer.status_code, headers, answer.content


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_answered_at_once_is_what_the_routes_answer(
    registry: RegistryClient, ordinary: list[str], method: str
) -> None:
    digest = registry.push_image("web", "v1")
    for reference in ("v1", digest):
        ordinary.clear()
        # A download link's token is for the routes.
        link = registry.token(only_path=f"/v2/web/manifests/{reference}")
        routed = requests.request(method, registry.url(f"web/manifests/{reference}"), headers=basic(link), timeout=10)
        assert ordinary == [reference]
        pull(registry, reference)
        ordinary.clear()
        at_once = pull(registry, reference, method)
        assert ordinary == []
        assert shown(at_once) == shown(routed)


@pytest.mark.parametrize("kind", quick.ACTIONS)
def test_it_runs_ahead_of_routes_with_the_same_actions(kind: str) -> None:
    (methods,) = (methods for path, methods in ROUTES if path.startswith(f"/v2/{{name:path}}/{kind}/{{"))
    answered, action = quick.ACTIONS[kind]
    assert {methods[method][0] for method in answered} == {action}


@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=1-3"}, {"Range": "bytes=-1"}, {"Range": "bytes=0-0,3-4"}])
def test_blobs_are_answered_as_the_routes_answer(registry: RegistryClient, asked: dict[str, str]) -> None:
    digest = registry.push_blob("web", b"layer" * 1000)
    link = registry.token(only_path=f"/v2/web/blobs/{digest}")
    routed = requests.get(registry.url(f"web/blobs/{digest}"), headers={**basic(link), **asked}, timeout=10)
    at_once = registry.call("GET", f"web/blobs/{digest}", headers=asked)
    assert (at_once.status_code, len(at_once.content)) == (routed.status_code, len(routed.content))
    assert at_once.headers.keys() == routed.headers.keys()
    if "," not in asked.get("Range", ""):
        assert shown(at_once) == shown(routed)


def test_blobs_are_found_without_the_routes(registry: RegistryClient, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = registry.push_blob("web", b"layer")
    looked_up: list[str] = []
    found = blobs.get_blob

    def get_blob(session: Any, repository: str, digest: str) -> Any:
        looked_up.append(digest)
        return found(session, repository, digest)

    monkeypatch.setattr(blobs, "get_blob", get_blob)
    assert registry.call("GET", f"web/blobs/{digest}").content == b"layer"
    assert looked_up == []
    assert registry.call("GET", f"web/blobs/{digest}", headers={"Range": "bytes=9-"}).status_code == 416
    assert looked_up == [digest]
    # Shown by one repository is not shown by all, and what was hidden is gone at once.
    registry.make_repository("other")
    assert registry.call("GET", f"other/blobs/{digest}").status_code == 404
    assert registry.call("DELETE", f"web/blobs/{digest}").status_code == 202
    assert registry.call("GET", f"web/blobs/{digest}").status_code == 404


def test_a_blob_whose_bytes_are_lost_is_not_found(registry: RegistryClient) -> None:
    digest = registry.push_blob("web", b"layer")
    registry.storage.delete(digest)
    answer = registry.call("GET", f"web/blobs/{digest}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "BLOB_UNKNOWN")


def test_rights_to_blobs_are_asked_for(registry: RegistryClient) -> None:
    digest = registry.push_blob("web", b"layer")
    for actions, status in ((["ecr:GetDownloadUrlForLayer"], 200), (["ecr:BatchGetImage"], 403)):
        headers = basic(registry.token(actions=actions, key_id=f"AKIA{status}"))
        for _ in range(3):
            assert requests.get(registry.url(f"web/blobs/{digest}"), headers=headers, timeout=10).status_code == status


def test_a_tag_that_moves_or_goes_is_seen_at_the_next_request(registry: RegistryClient, ordinary: list[str]) -> None:
    registry.push_image("web", "v1")
    pull(registry, "v1")
    ordinary.clear()
    second = registry.push_image("web", "v1", annotations={"is": "another"})
    pull(registry, second)
    ordinary.clear()
    moved = pull(registry, "v1")
    assert (moved.headers["Docker-Content-Digest"], ordinary) == (second, [])
    assert json.loads(moved.content)["annotations"] == {"is": "another"}
    assert pull(registry, "v1", "DELETE").status_code == 202
    assert pull(registry, "v1").status_code == 404
    assert pull(registry, second, "DELETE").status_code == 202
    gone = pull(registry, second)
    assert (gone.status_code, gone.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("reference", ["nothing", "sha256:" + "0" * 64, "sha256:short", "a b", "%00", "v1/", "ü"])
def test_what_is_not_there_is_explained_by_the_routes(registry: RegistryClient, reference: str) -> None:
    registry.push_image("web", "v1")
    pull(registry, "v1")
    answer = pull(registry, reference)
    assert answer.status_code in (400, 404)
    assert answer.json()["errors"][0]["code"] in ("MANIFEST_UNKNOWN", "DIGEST_INVALID", "NAME_INVALID", "UNSUPPORTED")


def test_an_archived_image_is_not_pulled(registry: RegistryClient) -> None:
    digest = registry.push_image("web", "v1")
    assert pull(registry, "v1").status_code == 200
    change(registry, Image, ("web", digest), status="ARCHIVED")
    assert pull(registry, "v1").status_code >= 400


def test_a_key_that_is_taken_away_is_good_for_three_seconds_at_most(
    registry: RegistryClient, clock: ManualClock
) -> None:
    registry.push_image("web", "v1")
    headers = basic(registry.token(key_id="AKIAOTHER"))
    ask = registry.url("web/manifests/v1")
    for _ in range(2):
        assert requests.get(ask, headers=headers, timeout=10).status_code == 200
    registry.store.transact(lambda session: session.delete(session.get(AccessKey, "AKIAOTHER")))
    clock.tick(seconds=FRESH.total_seconds())
    assert requests.get(ask, headers=headers, timeout=10).status_code == 401


def test_a_token_that_is_used_all_the_time_ends_with_its_key_and_its_hours(
    registry: RegistryClient, clock: ManualClock
) -> None:
    registry.push_image("web", "v1")
    ends = clock.now() + timedelta(seconds=1)
    headers = basic(registry.token(key_id="ASIASESSION"))
    change(registry, AccessKey, "ASIASESSION", expires_at=ends)
    ask = registry.url("web/manifests/v1")
    assert requests.get(ask, headers=headers, timeout=10).status_code == 200
    clock.tick(seconds=1)
    assert requests.get(ask, headers=headers, timeout=10).status_code == 401
    clock.tick(hours=12, seconds=-2)
    assert pull(registry, "v1").status_code == 200
    clock.tick(seconds=1)
    assert pull(registry, "v1").status_code == 401


def test_a_key_is_looked_at_again_by_one_while_others_go_on(
    registry: RegistryClient, clock: ManualClock, ordinary: list[str]
) -> None:
    registry.push_image("web", "v1")
    pull(registry, "v1")
    clock.tick(seconds=RENEWED_AFTER.total_seconds())
    ordinary.clear()
    for _ in range(3):
        assert pull(registry, "v1").status_code == 200
    assert ordinary == ["v1"]


def test_rights_are_asked_for(registry: RegistryClient) -> None:
    registry.push_image("web", "v1")
    for actions, status in ((["ecr:BatchGetImage"], 200), (["ecr:PutImage"], 403)):
        headers = basic(registry.token(actions=actions, key_id=f"AKIA{status}"))
        for _ in range(3):
            assert requests.get(registry.url("web/manifests/v1"), headers=headers, timeout=10).status_code == status


def test_policies_are_asked_at_every_request(registry: RegistryClient, ordinary: list[str]) -> None:
    registry.push_image("web", "v1")
    pull(registry, "v1")
    policy = {"Effect": "Deny", "Principal": "*", "Action": "ecr:BatchGetImage"}
    for condition, status in (
        ({"StringEquals": {"aws:PrincipalAccount": "000000000000"}}, 200),
        ({"StringEquals": {"ecr:ResourceTag/stage": "secret"}}, 200),
        ({"StringEquals": {"aws:PrincipalAccount": "123456789012"}}, 403),
    ):
        text = json.dumps({"Version": "2012-10-17", "Statement": [{**policy, "Condition": condition}]})
        change(registry, Repository, "web", policy=text)
        assert pull(registry, "v1").status_code == status, condition
    change(registry, Repository, "web", policy=None, tags=[{"Key": "stage", "Value": "secret"}])
    assert pull(registry, "v1").status_code == 200


def test_a_pull_is_recorded_once_an_hour(registry: RegistryClient, clock: ManualClock) -> None:
    def pulled_at() -> Any:
        return registry.store.read(lambda session: session.get(Image, ("web", digest)).pulled_at)

    digest, began_at = registry.push_image("web", "v1"), clock.now()
    assert pull(registry, "v1", "HEAD").status_code == 200
    assert pulled_at() is None
    for _ in range(2):
        assert pull(registry, "v1").status_code == 200
        assert pulled_at() == began_at
        clock.tick(minutes=1)
    clock.tick(seconds=NOTED_EVERY.total_seconds())
    assert pull(registry, "v1").status_code == 200
    assert pulled_at() == clock.now()


def test_who_is_not_recorded_leaves_no_trace_and_is_answered_at_once(
    registry: RegistryClient, clock: ManualClock, ordinary: list[str]
) -> None:
    digest = registry.push_image("web", "v1")
    add(registry, PullExclusion(principal_arn="arn:aws:iam::123456789012:user/AKIAROOT", created_at=clock.now()))
    for _ in range(3):
        assert pull(registry, "v1").status_code == 200
    assert ordinary == ["v1"]
    assert registry.store.read(lambda session: session.get(Image, ("web", digest)).pulled_at) is None
    registry.store.transact(lambda session: session.query(PullExclusion).delete())
    clock.tick(seconds=EXCLUDED_FOR.total_seconds())
    assert pull(registry, "v1").status_code == 200
    assert registry.store.read(lambda session: session.get(Image, ("web", digest)).pulled_at) == clock.now()


@pytest.mark.parametrize(("prefix", "is_routed"), [("ROOT", True), ("team", True), ("tea", False), ("te_m", False)])
def test_tags_that_an_upstream_may_know_better_are_left_to_the_routes(
    registry: RegistryClient, clock: ManualClock, ordinary: list[str], prefix: str, is_routed: bool
) -> None:
    registry.make_repository("team/app")
    registry.push_blob("team/app", b"{}")
    digest = registry.push_manifest("team/app", image_of(), "v1")
    for reference in ("v1", digest):
        assert registry.call("GET", f"team/app/manifests/{reference}").status_code == 200
    now = clock.now()
    add(registry, PullThroughRule(prefix=prefix, upstream_url="upstream.example", created_at=now, updated_at=now))
    ordinary.clear()
    registry.call("HEAD", "team/app/manifests/v1")
    registry.call("HEAD", f"team/app/manifests/{digest}")
    assert ordinary == (["v1"] if is_routed else [])


def test_manifests_too_large_to_remember_are_sent_all_the_same(registry: RegistryClient, ordinary: list[str]) -> None:
    registry.push_blob("web", b"{}")
    large = json.dumps(image_of(annotations={"text": "x" * 600_000})).encode()
    registry.push_manifest("web", large, "large")
    for _ in range(3):
        answer = pull(registry, "large")
        assert (answer.content, answer.headers["Content-Type"]) == (large, OCI_MANIFEST)
    assert ordinary == ["large"] * 3


def test_only_so_many_bytes_are_remembered(
    registry: RegistryClient, ordinary: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick, "_MOST", 1000)
    registry.push_blob("web", b"{}")
    bodies = [json.dumps(image_of(annotations={"number": str(number)})).encode() for number in range(6)]
    for number, body in enumerate(bodies):
        registry.push_manifest("web", body, f"v{number}")
        pull(registry, f"v{number}")
    ordinary.clear()
    for _ in range(2):
        assert [pull(registry, f"v{number}").content for number in range(6)] == bodies
    assert ordinary == []


def test_a_store_that_cannot_be_asked_at_once_is_asked_the_ordinary_way(
    registry: RegistryClient, ordinary: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.push_image("web", "v1")
    pull(registry, "v1")
    if not registry.store.embedded:
        return
    for reader in registry.store._readers:
        reader.close()
    ordinary.clear()
    assert pull(registry, "v1").status_code == 200
    assert ordinary == ["v1"]
