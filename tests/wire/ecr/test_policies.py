"""Policies of repositories and of the registry: set through boto3, and heard at the API and at ``/v2`` alike."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kit.aws.sigv4 import Caller, Key
from kit.settings import Settings
from orchestrator.api.ecr import ecr as service
from tests.support.loopback import KEY, ROOT, Loopback
from tests.support.registry import RegistryClient, image_of, sha256

ACCOUNT = "123456789012"
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
PUSH = ["ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"]


class Person:
    """A principal with a key that may do little by itself, at both doors."""

    def __init__(self, registry: RegistryClient, plane: Loopback, name: str, account: str, actions: list[str]) -> None:
        self._registry = registry
        self.arn = f"arn:aws:iam::{account}:user/{name}"
        caller = Caller(access_key_id=f"AKIA{name}", principal_arn=self.arn, account=account, actions=tuple(actions))
        self.key = Key(access_key_id=caller.access_key_id, secret="secret", caller=caller)
        self.ecr = plane.client("ecr", self.key)
        self._password = registry.token(key_id=caller.access_key_id, actions=actions, principal_arn=self.arn)

    def v2(self, method: str, path: str, **given: Any) -> int:
        """The status of a request to the registry."""
        return self._registry.call(method, path, auth=("AWS", self._password), **given).status_code

    def pulls(self, repository: str) -> set[int]:
        """The statuses of what a pull asks for."""
        return {
            self.v2("GET", f"{repository}/manifests/v1"),
            self.v2("HEAD", f"{repository}/manifests/v1"),
            self.v2("GET", f"{repository}/blobs/{sha256(b'layer')}"),
            self.v2("HEAD", f"{repository}/blobs/{sha256(b'layer')}"),
        }


class People:
    def __init__(self, registry: RegistryClient) -> None:
        self._registry = registry
        self._keys = {KEY.access_key_id: KEY}
        self.plane = Loopback(
            str(registry.store.url),
            [service],
            settings=Settings(registry_port=int(registry.address.partition(":")[2])),
            secrets=registry.secrets,
            storage=registry.storage,
            find_key=self._keys.get,
        )

    def __call__(self, name: str, *, may: list[str] | None = None, account: str = ACCOUNT) -> Person:
        person = Person(self._registry, self.plane, name, account, may or ["ecr:GetAuthorizationToken"])
        self._keys[person.key.access_key_id] = person.key
        return person


@pytest.fixture
def people(registry: RegistryClient) -> Iterator[People]:
    people = People(registry)
    yield people
    people.plane.close()


@pytest.fixture
def web(ecr: Any, registry: RegistryClient) -> str:
    ecr.create_repository(repositoryName="team/web", tags=[{"Key": "stage", "Value": "test"}])
    registry.push_image("team/web", "v1")
    return "team/web"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(principal: Any, actions: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": actions, **more}


def deny(principal: Any, actions: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Principal": principal, "Action": actions, **more}


def code_of(ask: Any, **given: Any) -> str:
    """The error's code, or nothing."""
    try:
        ask(**given)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_a_policy_is_told_as_it_was_given(ecr: Any, web: str) -> None:
    text = policy(allow("*", PULL)) + "\n"
    given = {"registryId": ACCOUNT, "repositoryName": web, "policyText": text}
    with pytest.raises(ecr.exceptions.RepositoryPolicyNotFoundException):
        ecr.get_repository_policy(repositoryName=web)
    for answer in (
        ecr.set_repository_policy(repositoryName=web, policyText=text),
        ecr.get_repository_policy(repositoryName=web),
        ecr.delete_repository_policy(repositoryName=web),
    ):
        assert given == {name: answer[name] for name in given}
    for ask in (ecr.get_repository_policy, ecr.delete_repository_policy):
        with pytest.raises(ecr.exceptions.RepositoryPolicyNotFoundException):
            ask(repositoryName=web)
        with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
            ask(repositoryName="nope")


def test_what_is_no_policy_is_refused_and_changes_nothing(ecr: Any, web: str) -> None:
    ecr.set_repository_policy(repositoryName=web, policyText=policy(allow("*", PULL)))
    for text in ("", "{}", policy(allow("*", "ecr:Nothing")), policy(allow("*", PULL, Condition={"X": {}}))):
        with pytest.raises(ecr.exceptions.InvalidParameterException, match="Invalid repository policy provided"):
            ecr.set_repository_policy(repositoryName=web, policyText=text)
    assert ecr.get_repository_policy(repositoryName=web)["policyText"] == policy(allow("*", PULL))


def test_who_may_nothing_by_itself_pulls_where_a_policy_lets_it(
    ecr: Any, web: str, people: People, registry: RegistryClient
) -> None:
    ann, bob = people("ann"), people("bob")
    ecr.create_repository(repositoryName="other")
    registry.push_image("other", "v1")
    assert ann.pulls(web) == {403}
    ecr.set_repository_policy(repositoryName=web, policyText=policy(allow({"AWS": ann.arn}, PULL)))
    assert ann.pulls(web) == {200}
    assert ann.pulls("other") == bob.pulls(web) == {403}
    image = {"imageIds": [{"imageTag": "v1"}]}
    assert ann.ecr.batch_get_image(repositoryName=web, **image)["images"]
    assert code_of(ann.ecr.batch_get_image, repositoryName="other", **image) == "AccessDeniedException"
    assert code_of(bob.ecr.batch_get_image, repositoryName=web, **image) == "AccessDeniedException"
    assert code_of(ann.ecr.describe_images, repositoryName=web) == "AccessDeniedException"
    # The link is good for who may read, for as long as it may.
    link = ann.ecr.get_download_url_for_layer(repositoryName=web, layerDigest=sha256(b"layer"))["downloadUrl"]
    assert registry.session.get(link, auth=None, timeout=10).content == b"layer"
    ecr.delete_repository_policy(repositoryName=web)
    assert ann.pulls(web) == {403}
    assert ann.v2("GET", f"{web}/manifests/nope") == ann.v2("GET", "nope/manifests/v1") == 403


def test_a_denial_wins_over_what_the_identity_may(ecr: Any, web: str, people: People, registry: RegistryClient) -> None:
    ann = people("ann", may=["ecr:*"])
    assert ann.pulls(web) == {200}
    ecr.set_repository_policy(
        repositoryName=web, policyText=policy(allow("*", "*"), deny({"AWS": ann.arn}, [*PULL, "ecr:PutImage"]))
    )
    assert ann.pulls(web) == {403}
    assert registry.call("GET", f"{web}/manifests/v1").status_code == 200
    body = json.dumps(image_of(b"layer", annotations={"a": "b"}))
    assert code_of(ann.ecr.put_image, repositoryName=web, imageManifest=body, imageTag="v2") == "AccessDeniedException"
    assert ann.v2("PUT", f"{web}/manifests/v2", data=body) == 403
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        ann.ecr.batch_get_image(repositoryName=web, imageIds=[{"imageTag": "v1"}])
    assert ann.ecr.describe_images(repositoryName=web)["imageDetails"]


def test_push_needs_the_actions_of_a_push(ecr: Any, web: str, people: People) -> None:
    ann = people("ann")
    ecr.set_repository_policy(repositoryName=web, policyText=policy(allow({"AWS": ann.arn}, PUSH)))
    digest = sha256(b"more")
    assert ann.v2("POST", f"{web}/blobs/uploads/?digest={digest}", data=b"more") == 201
    upload = ann.ecr.initiate_layer_upload(repositoryName=web)["uploadId"]
    assert ann.v2("PATCH", f"{web}/blobs/uploads/{upload}", data=b"x") == 202
    body = json.dumps(image_of(b"more"))
    assert ann.v2("PUT", f"{web}/manifests/v2", data=body) == 201
    assert ann.v2("GET", f"{web}/manifests/v2") == ann.v2("DELETE", f"{web}/manifests/v2") == 403
    assert ann.v2("GET", f"{web}/tags/list") == 403
    assert code_of(ann.ecr.delete_repository, repositoryName=web, force=True) == "AccessDeniedException"


def test_another_account_needs_both_its_own_right_and_the_policy(ecr: Any, web: str, people: People) -> None:
    able, unable = (
        people(name, may=may, account="210987654321") for name, may in (("able", ["ecr:*"]), ("unable", ["s3:*"]))
    )
    assert able.pulls(web) == {403}
    ecr.set_repository_policy(repositoryName=web, policyText=policy(allow({"AWS": "210987654321"}, PULL)))
    assert able.pulls(web) == {200}
    assert unable.pulls(web) == {403}
    # An account of one's own that is named allows nothing that one may not.
    ecr.set_repository_policy(repositoryName=web, policyText=policy(allow({"AWS": ACCOUNT}, PULL)))
    assert people("ann").pulls(web) == able.pulls(web) == {403}


def test_conditions_see_the_address_and_the_tags(ecr: Any, web: str, people: People) -> None:
    ann = people("ann")
    for condition, expected in (
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, 200),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, 403),
        ({"StringEquals": {"ecr:ResourceTag/stage": "test"}}, 200),
        ({"StringEquals": {"ecr:ResourceTag/stage": "live"}}, 403),
        ({"Bool": {"aws:SecureTransport": "true"}}, 403),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, 200),
    ):
        text = policy(allow({"AWS": ann.arn}, PULL, Condition=condition))
        ecr.set_repository_policy(repositoryName=web, policyText=text)
        assert ann.pulls(web) == {expected}, condition


def test_nobody_locks_himself_out_by_accident(ecr: Any, web: str, people: People) -> None:
    ann = people("ann", may=["ecr:*"])
    closed = policy(deny("*", "ecr:*"))
    for who in (ann.ecr, ecr):
        with pytest.raises(who.exceptions.InvalidParameterException, match="keep you from setting another policy"):
            who.set_repository_policy(repositoryName=web, policyText=closed)
    ann.ecr.set_repository_policy(repositoryName=web, policyText=closed, force=True)
    assert code_of(ann.ecr.delete_repository_policy, repositoryName=web) == "AccessDeniedException"
    assert code_of(ecr.describe_images, repositoryName=web) == "AccessDeniedException"
    # The root's key opens what was closed to everyone.
    assert ecr.get_repository_policy(repositoryName=web)["policyText"] == closed
    ecr.delete_repository_policy(repositoryName=web)
    assert ann.pulls(web) == {200}


def test_who_was_let_in_by_the_policy_keeps_the_door_open(ecr: Any, web: str, people: People) -> None:
    ann = people("ann")
    ecr.set_repository_policy(repositoryName=web, policyText=policy(allow({"AWS": ann.arn}, "ecr:*")))
    assert (
        code_of(ann.ecr.set_repository_policy, repositoryName=web, policyText=policy(allow("*", PULL)))
        == "InvalidParameterException"
    )


def test_mounting_asks_the_repository_that_has_the_layer(
    ecr: Any, web: str, people: People, registry: RegistryClient
) -> None:
    ann = people("ann", may=PUSH)
    ecr.create_repository(repositoryName="mine")
    digest = sha256(b"layer")
    for query in (f"?mount={digest}&from={web}", f"?mount={digest}"):
        assert ann.v2("POST", f"mine/blobs/uploads/{query}") == 202
    ecr.set_repository_policy(repositoryName=web, policyText=policy(allow({"AWS": ann.arn}, PULL)))
    ecr.put_account_setting(name="BLOB_MOUNTING", value="DISABLED")
    assert ann.v2("POST", f"mine/blobs/uploads/?mount={digest}&from={web}") == 202
    ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    assert ann.v2("POST", f"mine/blobs/uploads/?mount={digest}&from={web}") == 201
    assert registry.call("GET", f"mine/blobs/{digest}").content == b"layer"
    root = people("bob", may=["ecr:*"])
    ecr.create_repository(repositoryName="third")
    for repository in (web, "mine"):
        ecr.set_repository_policy(repositoryName=repository, policyText=policy(deny({"AWS": root.arn}, PULL)))
    assert root.v2("POST", f"third/blobs/uploads/?mount={digest}&from={web}") == 202


def test_lists_leave_out_what_is_denied(ecr: Any, people: People, registry: RegistryClient) -> None:
    ann = people("ann", may=["ecr:DescribeRepositories", "ecr:ListImages"])
    names = [f"r{number}" for number in range(6)]
    for name in names:
        ecr.create_repository(repositoryName=name)
    for name in ("r0", "r1", "r3"):
        text = policy(deny({"AWS": ann.arn}, "ecr:DescribeRepositories"))
        ecr.set_repository_policy(repositoryName=name, policyText=text)
    pages = ann.ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 1})
    assert [each["repositoryName"] for page in pages for each in page["repositories"]] == ["r2", "r4", "r5"]
    assert code_of(ann.ecr.describe_repositories, repositoryNames=["r2", "r0"]) == "AccessDeniedException"
    password = ("AWS", registry.token(key_id="AKIAann"))
    assert registry.call("GET", "_catalog?n=2", auth=password).json()["repositories"] == ["r2", "r4"]
    assert registry.call("GET", "_catalog").json()["repositories"] == names
    assert people("bob").v2("GET", "_catalog") == 403


def test_tags_of_a_resource_are_the_repositorys(ecr: Any, web: str, people: People) -> None:
    ann = people("ann")
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{web}"
    assert code_of(ann.ecr.list_tags_for_resource, resourceArn=arn) == "AccessDeniedException"
    ecr.set_repository_policy(repositoryName=web, policyText=policy(allow({"AWS": ann.arn}, "ecr:ListTagsForResource")))
    assert ann.ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "stage", "Value": "test"}]


def test_the_registry_policy_is_kept_and_forgotten(ecr: Any) -> None:
    text = policy(allow("*", "ecr:CreateRepository", Resource="*"))
    for ask in (ecr.get_registry_policy, ecr.delete_registry_policy):
        with pytest.raises(ecr.exceptions.RegistryPolicyNotFoundException):
            ask()
    with pytest.raises(ecr.exceptions.InvalidParameterException, match="Invalid registry policy provided"):
        ecr.put_registry_policy(policyText=policy(allow("*", "ecr:CreateRepository")))
    for answer in (
        ecr.put_registry_policy(policyText=text),
        ecr.get_registry_policy(),
        ecr.delete_registry_policy(),
    ):
        assert (answer["registryId"], answer["policyText"]) == (ACCOUNT, text)
    with pytest.raises(ecr.exceptions.RegistryPolicyNotFoundException):
        ecr.get_registry_policy()


def test_the_registry_policy_speaks_of_all_actions_once_its_scope_is_v2(ecr: Any, web: str, people: People) -> None:
    ann, bob = people("ann"), people("bob", may=["ecr:*"])
    beneath = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/*"
    ecr.put_registry_policy(
        policyText=policy(
            allow({"AWS": ann.arn}, "ecr:*", Resource=beneath), deny({"AWS": bob.arn}, "ecr:*", Resource="*")
        )
    )
    ann.ecr.create_repository(repositoryName="team/new")
    assert code_of(ann.ecr.create_repository, repositoryName="new") == "AccessDeniedException"
    assert code_of(bob.ecr.create_repository, repositoryName="team/two") == "AccessDeniedException"
    assert (ann.pulls(web), bob.pulls(web)) == ({403}, {200})
    assert ecr.get_account_setting(name="REGISTRY_POLICY_SCOPE")["value"] == "V1"
    ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V2")
    assert ecr.get_account_setting(name="REGISTRY_POLICY_SCOPE")["value"] == "V2"
    assert (ann.pulls(web), bob.pulls(web)) == ({200}, {403})
    assert code_of(bob.ecr.get_authorization_token) == "AccessDeniedException"
    ecr.delete_registry_policy()
    assert (ann.pulls(web), bob.pulls(web)) == ({403}, {200})


def test_a_registry_policy_against_everyone_is_taken_back_by_root(ecr: Any) -> None:
    ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V2")
    ecr.put_registry_policy(policyText=policy(deny({"AWS": ROOT}, "*", Resource="*")))
    assert code_of(ecr.describe_repositories) == "AccessDeniedException"
    ecr.delete_registry_policy()
    assert code_of(ecr.describe_repositories) == ""


@pytest.mark.parametrize(
    ("name", "default", "value"),
    [("BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE", "AWS_NATIVE"), ("BLOB_MOUNTING", "ENABLED", "DISABLED")],
)
def test_a_setting_has_a_default_and_is_chosen(ecr: Any, name: str, default: str, value: str) -> None:
    assert ecr.get_account_setting(name=name)["value"] == default
    chosen = ecr.put_account_setting(name=name, value=value)
    assert (chosen["name"], chosen["value"]) == (name, value)
    assert ecr.get_account_setting(name=name)["value"] == value


def test_settings_that_are_none_are_refused(ecr: Any) -> None:
    for name, value in (("NOTHING", "x"), ("REGISTRY_POLICY_SCOPE", "V1"), ("BLOB_MOUNTING", "enabled")):
        with pytest.raises(ecr.exceptions.InvalidParameterException):
            ecr.put_account_setting(name=name, value=value)
    with pytest.raises(ecr.exceptions.InvalidParameterException):
        ecr.get_account_setting(name="NOTHING")
