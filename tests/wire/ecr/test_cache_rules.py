"""Pull-through cache rules over the wire, with an upstream on a real socket."""

from collections.abc import Iterator
from typing import Any

import pytest

from registry.credentials import keep_login
from registry.upstream import Login
from tests.support.loopback import Loopback
from tests.support.refusals import refused_code
from tests.support.registry import RegistryClient, sha256
from tests.support.upstream import Upstream, running_upstream

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/hub"
LOGIN = Login(username="me", password="secret")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running_upstream() as running:
        yield running


def create(ecr: Any, prefix: str = "hub", url: str = "public.ecr.aws", **members: Any) -> Any:
    return ecr.create_pull_through_cache_rule(ecrRepositoryPrefix=prefix, upstreamRegistryUrl=url, **members)


def keep(plane: Loopback, login: Login = LOGIN) -> None:
    now = plane.clock.now()
    plane.store.transact(lambda session: keep_login(session, plane.secrets, ARN, login, now=now))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("public.ecr.aws", "ecr-public"),
        ("registry-1.docker.io", "docker-hub"),
        ("quay.io", "quay"),
        ("registry.k8s.io", "k8s"),
        ("ghcr.io", "github-container-registry"),
        ("team.azurecr.io", "azure-container-registry"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr"),
        ("registry.example:8443", None),
    ],
)
def test_a_rule_is_told_as_it_was_made(ecr: Any, url: str, name: str | None) -> None:
    made = create(ecr, url=url)
    assert (made["ecrRepositoryPrefix"], made["upstreamRegistryUrl"]) == ("hub", url)
    assert (made.get("upstreamRegistry"), made["upstreamRepositoryPrefix"]) == (name, "ROOT")
    assert made["registryId"] == "123456789012"
    (told,) = ecr.describe_pull_through_cache_rules()["pullThroughCacheRules"]
    assert told["upstreamRegistryUrl"] == url
    assert told["createdAt"] == made["createdAt"] == told["updatedAt"]
    assert refused_code(create, ecr=ecr) == "PullThroughCacheRuleAlreadyExistsException"


@pytest.mark.parametrize("url", ["ftp://host", "https://host/path", "user:x@host", "host:port", "a b", "http://"])
def test_what_is_no_registry_is_refused(ecr: Any, url: str) -> None:
    assert refused_code(create, ecr=ecr, url=url) == "UnsupportedUpstreamRegistryException"


def test_a_registry_is_not_its_own_upstream(ecr: Any, registry: RegistryClient) -> None:
    url = f"http://{registry.address}"
    assert refused_code(create, ecr=ecr, url=url) == "UnsupportedUpstreamRegistryException"


def test_rules_are_found_by_prefix_and_in_pages(ecr: Any) -> None:
    for prefix in ("cc", "aa", "ROOT", "bb"):
        create(ecr, prefix)
    pages = ecr.get_paginator("describe_pull_through_cache_rules").paginate(PaginationConfig={"PageSize": 3})
    told = [[each["ecrRepositoryPrefix"] for each in page["pullThroughCacheRules"]] for page in pages]
    assert told == [["ROOT", "aa", "bb"], ["cc"]]
    some = ecr.describe_pull_through_cache_rules(ecrRepositoryPrefixes=["cc", "aa"])["pullThroughCacheRules"]
    assert [each["ecrRepositoryPrefix"] for each in some] == ["cc", "aa"]
    missing = {"ecrRepositoryPrefixes": ["nobody"]}
    assert refused_code(ecr.describe_pull_through_cache_rules, **missing) == "PullThroughCacheRuleNotFoundException"


def test_a_deleted_rule_is_gone(ecr: Any) -> None:
    create(ecr)
    gone = ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="hub")
    assert gone["upstreamRegistryUrl"] == "public.ecr.aws"
    for call in (ecr.delete_pull_through_cache_rule, ecr.validate_pull_through_cache_rule):
        assert refused_code(call, ecrRepositoryPrefix="hub") == "PullThroughCacheRuleNotFoundException"
    update = {"ecrRepositoryPrefix": "hub", "credentialArn": ARN}
    assert refused_code(ecr.update_pull_through_cache_rule, **update) == "PullThroughCacheRuleNotFoundException"


def test_credentials_must_be_there(ecr: Any, ecr_plane: Loopback) -> None:
    assert refused_code(create, ecr=ecr, credentialArn=ARN) == "SecretNotFoundException"
    create(ecr)
    update = {"ecrRepositoryPrefix": "hub", "credentialArn": ARN}
    assert refused_code(ecr.update_pull_through_cache_rule, **update) == "SecretNotFoundException"
    keep(ecr_plane)
    assert ecr.update_pull_through_cache_rule(**update)["credentialArn"] == ARN


def test_a_rule_is_validated_by_asking_the_upstream(ecr: Any, ecr_plane: Loopback, upstream: Upstream) -> None:
    create(ecr, url=f"http://{upstream.address}")
    assert ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="hub")["isValid"] is True
    upstream.authorization = LOGIN.basic
    answer = ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="hub")
    assert answer["isValid"] is False
    assert "user name" in answer["failure"]
    keep(ecr_plane)
    ecr.update_pull_through_cache_rule(ecrRepositoryPrefix="hub", credentialArn=ARN)
    assert ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="hub")["isValid"] is True
    upstream.failing["*"] = upstream.failing["v2"] = upstream.failing[""] = 500
    assert ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="hub")["isValid"] is False


def test_images_are_pulled_with_the_credentials(
    ecr: Any, ecr_plane: Loopback, registry: RegistryClient, upstream: Upstream
) -> None:
    upstream.add_image("team/tool", "v1", b"layer")
    upstream.authorization = LOGIN.basic
    create(ecr, url=f"http://{upstream.address}", upstreamRepositoryPrefix="team")
    answer = registry.call("GET", "hub/tool/manifests/v1")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "DENIED")
    keep(ecr_plane)
    ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="hub")
    create(ecr, url=f"http://{upstream.address}", upstreamRepositoryPrefix="team", credentialArn=ARN)
    assert registry.call("GET", "hub/other/manifests/v1").status_code == 404
    upstream.add_image("team/second", "v1", b"layer")
    assert registry.call("GET", "hub/second/manifests/v1").status_code == 200
    assert registry.call("GET", f"hub/second/blobs/{sha256(b'layer')}").content == b"layer"
    (made,) = ecr.describe_repositories()["repositories"]
    assert made["repositoryName"] == "hub/second"
