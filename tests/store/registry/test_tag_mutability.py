"""Immutable tags where two processes push at once, one to ``/v2`` and one over the ECR API, on both databases."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from orchestrator.api.ecr import ecr as service
from registry.errors import TagImmutable
from registry.images import Push, is_immutable, put_image
from registry.manifests import read_manifest
from state.blobs import keep_blob
from state.images import get_tag, list_tags
from state.repositories import Repository, get_repository, lock_repository
from state.store import Session, Store
from tests.support.loopback import Loopback
from tests.support.registry import OCI_MANIFEST, image_of, running_registry, sha256

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ACCOUNT = "123456789012"
TAGS = [f"v{number}" for number in range(30)]
FREE = "dev-latest"


@pytest.fixture
def store(store: Store) -> Store:
    def fill(session: Session) -> None:
        session.add(
            Repository(
                name="web",
                tag_mutability="IMMUTABLE_WITH_EXCLUSION",
                mutability_filters=[{"filterType": "WILDCARD", "filter": "dev-*"}],
                created_at=NOW,
            )
        )
        session.flush()
        for data in (b"{}", b"layer"):
            keep_blob(session, "web", sha256(data), len(data), now=NOW)

    store.transact(fill)
    return store


def manifest(who: str, tag: str) -> str:
    """What nobody else pushes under this tag."""
    return json.dumps(image_of(b"layer", annotations={"who": who, "tag": tag}))


def push_to_v2(url: str, directory: Path) -> dict[str, str]:
    """Push every tag; by tag the error's code, or nothing."""
    with running_registry(directory, url=url) as registry:
        outcomes = {}
        for tag in (*TAGS, FREE):
            answer = registry.call(
                "PUT",
                f"web/manifests/{tag}",
                data=manifest("v2", tag),
                headers={"Content-Type": OCI_MANIFEST},
            )
            outcomes[tag] = "" if answer.status_code == 201 else f"{answer.status_code} {_code(answer.json())}"
        return outcomes


def push_to_api(url: str, directory: Path) -> dict[str, str]:
    plane = Loopback(url, [service])
    try:
        ecr, outcomes = plane.client("ecr"), {}
        for tag in (*TAGS, FREE):
            try:
                ecr.put_image(repositoryName="web", imageManifest=manifest("api", tag), imageTag=tag)
                outcomes[tag] = ""
            except ClientError as error:
                outcomes[tag] = error.response["Error"]["Code"]
        return outcomes
    finally:
        plane.close()


def _code(answer: dict[str, list[dict[str, str]]]) -> str:
    return answer["errors"][0]["code"]


def test_of_two_processes_at_two_doors_one_gets_each_tag(store: Store, store_url: str, tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        pushes = [pool.submit(push, store_url, tmp_path) for push in (push_to_v2, push_to_api)]
        by_v2, by_api = (push.result(timeout=120) for push in pushes)
    held = store.read(lambda session: {tag.name: tag.digest for tag in list_tags(session, "web")})
    for tag in TAGS:
        winner = "v2" if by_v2[tag] == "" else "api"
        assert held[tag] == sha256(manifest(winner, tag).encode())
        lost = by_api[tag] if winner == "v2" else by_v2[tag]
        assert lost == ("ImageTagAlreadyExistsException" if winner == "v2" else "400 TAG_INVALID")
    assert by_v2[FREE] == by_api[FREE] == ""


def test_no_tag_moves_once_its_repository_is_immutable(store: Store) -> None:
    def free(session: Session) -> None:
        repository = get_repository(session, "web")
        assert repository is not None
        repository.tag_mutability = "MUTABLE"

    store.transact(free)

    def push(number: int) -> str | None:
        body = manifest("pusher", str(number)).encode()
        one = Push(digest=sha256(body), body=body, manifest=read_manifest(body, OCI_MANIFEST), tags=["v1"])
        try:
            store.transact(lambda session: put_image(session, "web", one, account=ACCOUNT, now=NOW))
        except TagImmutable:
            return None
        return one.digest

    def fix(session: Session) -> str | None:
        # What was read before the repository was held must not count.
        get_repository(session, "web")
        repository = lock_repository(session, "web")
        assert repository is not None
        repository.tag_mutability, repository.mutability_filters = "IMMUTABLE", []
        session.flush()
        tag = get_tag(session, "web", "v1")
        return tag.digest if tag is not None else None

    push(0)
    with ThreadPoolExecutor(5) as pool:
        pushes = [pool.submit(push, number) for number in range(1, 13)]
        fixed = pool.submit(store.transact, fix)
        pushes += [pool.submit(push, number) for number in range(13, 25)]
        then = fixed.result(timeout=60)
        for each in pushes:
            each.result(timeout=60)
    tag = store.read(lambda session: get_tag(session, "web", "v1"))
    assert tag is not None
    assert tag.digest == then
    assert push(99) is None


@pytest.mark.parametrize(
    ("mutability", "filters", "tag", "fixed"),
    [
        ("MUTABLE", [], "v1", False),
        ("IMMUTABLE", [], "v1", True),
        ("IMMUTABLE_WITH_EXCLUSION", ["dev-*"], "dev-1", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["dev-*"], "my-dev-1", True),
        ("IMMUTABLE_WITH_EXCLUSION", ["dev-*"], "DEV-1", True),
        ("IMMUTABLE_WITH_EXCLUSION", ["*-dev", "latest"], "latest", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["*-dev", "latest"], "latest1", True),
        ("IMMUTABLE_WITH_EXCLUSION", ["*.*"], "1.2", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["1.2"], "1x2", True),
        ("MUTABLE_WITH_EXCLUSION", ["v*"], "v1", True),
        ("MUTABLE_WITH_EXCLUSION", ["v*"], "w1", False),
    ],
)
def test_filters_turn_the_rule_round(mutability: str, filters: list[str], tag: str, fixed: bool) -> None:
    repository = Repository(
        name="web",
        tag_mutability=mutability,
        mutability_filters=[{"filterType": "WILDCARD", "filter": each} for each in filters],
    )
    assert is_immutable(repository, tag) is fixed
