"""Who may talk to the registry: tokens, and what their keys may do."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from kit.aws.access import allows
from kit.clock import ManualClock
from registry.app import ROUTES
from state.access_keys import AccessKey
from tests.support.registry import RegistryClient, basic, running_registry


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def registry(tmp_path: Path, clock: ManualClock) -> Iterator[RegistryClient]:
    with running_registry(tmp_path, clock=clock) as running:
        running.make_repository("web")
        yield running


def ask(
    registry: RegistryClient, headers: dict[str, str], method: str = "GET", path: str = "/v2/"
) -> requests.Response:
    return requests.request(method, registry.url(path), headers=headers, timeout=10)


def test_a_stranger_is_told_how_to_log_in(registry: RegistryClient) -> None:
    answer = ask(registry, {})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith(f'Basic realm="http://{registry.address}/"')
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"


def test_no_door_opens_without_a_token(registry: RegistryClient) -> None:
    paths = [path.replace("{name:path}", "web") for path, _ in ROUTES] + ["/", "/metrics", "/v1/", "/v2/../x"]
    for path in paths:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            assert ask(registry, {}, method, path).status_code == 401, (method, path)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + "QVdT"},
        {"Authorization": "Basic //79/A=="},
        {"Authorization": "Bearer abc"},
        basic(""),
        basic("wrong"),
        basic("gAAAAABnothing"),
        basic("ö" * 50),
        basic("x" * 30_000),
    ],
)
def test_what_is_no_token_is_refused(registry: RegistryClient, headers: dict[str, str]) -> None:
    assert ask(registry, headers).status_code == 401


def test_a_token_needs_the_user_aws(registry: RegistryClient) -> None:
    assert ask(registry, basic(registry.password, "root")).status_code == 401
    assert ask(registry, basic(registry.password)).status_code == 200


def test_a_token_that_was_tampered_with_is_refused(registry: RegistryClient) -> None:
    for at in range(0, len(registry.password), 37):
        other = "A" if registry.password[at] != "A" else "B"
        changed = registry.password[:at] + other + registry.password[at + 1 :]
        assert ask(registry, basic(changed)).status_code == 401, at


def test_another_secret_of_the_installation_is_no_token(registry: RegistryClient) -> None:
    for text in ("secret", "[]", "7", json.dumps({"key": "AKIAROOT", "who": "x", "until": 10**11, "path": None})):
        assert ask(registry, basic(registry.secrets.encrypt(text))).status_code == 401


def test_a_token_ends_after_twelve_hours(registry: RegistryClient, clock: ManualClock) -> None:
    headers = basic(registry.password)
    clock.tick(hours=12, seconds=-1)
    assert ask(registry, headers).status_code == 200
    clock.tick(seconds=2)
    answer = ask(registry, headers)
    assert (answer.status_code, "expired" in answer.text) == (401, True)


def test_a_token_ends_with_its_session(registry: RegistryClient, clock: ManualClock) -> None:
    headers = basic(registry.token(key_id="ASIASESSION"))
    ends = clock.now() + timedelta(hours=1)

    def end(session: object) -> None:
        session.get(AccessKey, "ASIASESSION").expires_at = ends  # type: ignore[attr-defined]

    registry.store.transact(end)
    assert ask(registry, headers).status_code == 200
    clock.tick(hours=1)
    assert ask(registry, headers).status_code == 401


def test_a_token_ends_with_its_access_key_three_seconds_after_at_the_latest(
    registry: RegistryClient, clock: ManualClock
) -> None:
    headers = basic(registry.token(key_id="AKIAREVOKED"))
    assert ask(registry, headers).status_code == 200
    registry.store.transact(lambda session: session.delete(session.get(AccessKey, "AKIAREVOKED")))
    clock.tick(seconds=3)
    assert ask(registry, headers).status_code == 401


@pytest.mark.parametrize(
    ("actions", "method", "path", "allowed"),
    [
        (["ecr:BatchGetImage"], "GET", "web/manifests/v1", True),
        (["ecr:BatchGetImage"], "PUT", "web/manifests/v1", False),
        (["ecr:BatchGetImage"], "DELETE", "web/manifests/v1", False),
        (["ecr:BatchGetImage"], "GET", "web/blobs/sha256:" + "0" * 64, False),
        (["ecr:GetDownloadUrlForLayer"], "GET", "web/blobs/sha256:" + "0" * 64, True),
        (["ecr:GetDownloadUrlForLayer"], "HEAD", "web/blobs/sha256:" + "0" * 64, False),
        (["ecr:Batch*"], "HEAD", "web/blobs/sha256:" + "0" * 64, True),
        (["ecr:InitiateLayerUpload"], "POST", "web/blobs/uploads/", True),
        (["ecr:InitiateLayerUpload"], "PATCH", "web/blobs/uploads/x", False),
        (["ecs:*", "batch:*"], "GET", "web/tags/list", False),
        (["*"], "GET", "web/tags/list", True),
    ],
)
def test_each_request_needs_its_action(
    registry: RegistryClient, actions: list[str], method: str, path: str, allowed: bool
) -> None:
    headers = basic(registry.token(actions=actions, key_id="AKIALIMITED"))
    assert ask(registry, headers, method, f"/v2/{path}").status_code != 401
    assert (ask(registry, headers, method, f"/v2/{path}").status_code != 403) == allowed


def test_what_is_not_there_is_said_in_the_protocols_words(registry: RegistryClient) -> None:
    headers = basic(registry.password)
    assert ask(registry, headers, "GET", "/elsewhere").json()["errors"][0]["code"] == "UNSUPPORTED"
    answer = ask(registry, headers, "POST", "/v2/web/tags/list")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (405, "UNSUPPORTED")


@pytest.mark.parametrize(
    ("actions", "wanted", "expected"),
    [
        (["*"], "ecr:PutImage", True),
        (["ecr:*"], "ecr:PutImage", True),
        (["ECR:put*"], "ecr:PutImage", True),
        (["ecr:Put?mage"], "ecr:PutImage", True),
        (["ecs:*", "ecr:Get*"], "ecr:PutImage", False),
        (["ecr:[P]utImage"], "ecr:PutImage", False),
        (["ecr:PutImage"], "ecr:PutImageTagMutability", False),
        ([], "ecr:PutImage", False),
    ],
)
def test_actions_are_globs_as_in_iam(actions: list[str], wanted: str, expected: bool) -> None:
    assert allows(actions, wanted) == expected
