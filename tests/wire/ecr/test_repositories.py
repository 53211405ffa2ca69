"""ECR through boto3, beside a running registry on the same store: repositories, tokens and layers."""

import base64
from datetime import timedelta
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from kit.aws.paging import encode_token, scope_of
from kit.aws.sigv4 import Caller, Key
from orchestrator.api.ecr import ecr as service
from tests.support.loopback import ROOT, Loopback
from tests.support.registry import (
    RegistryClient,
    sha256,
)


def test_a_repository_is_described_as_it_was_made(ecr: Any, registry: RegistryClient) -> None:
    made = ecr.create_repository(
        repositoryName="team/web",
        imageTagMutability="IMMUTABLE",
        imageScanningConfiguration={"scanOnPush": True},
        tags=[{"Key": "a", "Value": "1"}],
    )["repository"]
    assert made["repositoryArn"] == "arn:aws:ecr:us-east-1:123456789012:repository/team/web"
    assert made["repositoryUri"] == f"{registry.address}/team/web"
    assert made["imageTagMutability"] == "IMMUTABLE"
    assert made["encryptionConfiguration"] == {"encryptionType": "AES256"}
    assert ecr.describe_repositories(repositoryNames=["team/web"])["repositories"] == [made]


def test_a_repository_cannot_be_made_twice(ecr: Any) -> None:
    ecr.create_repository(repositoryName="web")
    with pytest.raises(ecr.exceptions.RepositoryAlreadyExistsException, match="'web' already exists"):
        ecr.create_repository(repositoryName="web")


def test_kms_encryption_is_refused_and_not_pretended(ecr: Any) -> None:
    with pytest.raises(ecr.exceptions.KmsException):
        ecr.create_repository(repositoryName="web", encryptionConfiguration={"encryptionType": "KMS"})


def test_repositories_are_paged_by_name(ecr: Any) -> None:
    names = [f"r{number:02}" for number in range(7)]
    for name in reversed(names):
        ecr.create_repository(repositoryName=name)
    pages = list(ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 3}))
    assert [len(page["repositories"]) for page in pages] == [3, 3, 1]
    assert [each["repositoryName"] for page in pages for each in page["repositories"]] == names


def test_an_unknown_repository_is_named_in_the_error(ecr: Any) -> None:
    for ask in (ecr.delete_repository, ecr.list_images, ecr.describe_images):
        with pytest.raises(ecr.exceptions.RepositoryNotFoundException) as caught:
            ask(repositoryName="nope")
        assert caught.value.response["Error"]["Message"] == (
            "The repository with name 'nope' does not exist in the registry with id '123456789012'"
        )


def test_a_repository_with_images_is_deleted_only_by_force(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    registry.push_image("web", "v1")
    with pytest.raises(ecr.exceptions.RepositoryNotEmptyException):
        ecr.delete_repository(repositoryName="web")
    ecr.delete_repository(repositoryName="web", force=True)
    assert ecr.describe_repositories()["repositories"] == []
    assert registry.call("GET", "web/manifests/v1").json()["errors"][0]["code"] == "NAME_UNKNOWN"
    ecr.create_repository(repositoryName="web")
    assert ecr.list_images(repositoryName="web")["imageIds"] == []
    # The layers went with the repository, though their bytes are still kept.
    assert registry.call("HEAD", f"web/blobs/{sha256(b'layer')}").status_code == 404


def test_resource_tags_are_added_replaced_and_removed(ecr: Any) -> None:
    arn = ecr.create_repository(repositoryName="web", tags=[{"Key": "a", "Value": "1"}])["repository"]["repositoryArn"]
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    ecr.untag_resource(resourceArn=arn, tagKeys=["a", "gone"])
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "b", "Value": "3"}]
    with pytest.raises(ecr.exceptions.TooManyTagsException):
        ecr.tag_resource(resourceArn=arn, tags=[{"Key": str(n), "Value": ""} for n in range(50)])
    with pytest.raises(ecr.exceptions.InvalidTagParameterException):
        ecr.tag_resource(resourceArn=arn, tags=[{"Key": "aws:x", "Value": ""}])


@pytest.mark.parametrize("arn", ["", "web", "arn:aws:ecr:us-east-1:999999999999:repository/web", "arn:aws:ecr"])
def test_an_arn_of_something_else_is_refused(ecr: Any, arn: str) -> None:
    ecr.create_repository(repositoryName="web")
    with pytest.raises(ecr.exceptions.InvalidParameterException):
        ecr.list_tags_for_resource(resourceArn=arn)


def test_the_token_is_the_password_of_the_user_aws_for_twelve_hours(
    ecr: Any, ecr_plane: Loopback, registry: RegistryClient
) -> None:
    before = ecr_plane.clock.now()
    (data,) = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    assert user == "AWS"
    assert data["proxyEndpoint"] == f"http://{registry.address}"
    assert abs(data["expiresAt"] - before - timedelta(hours=12)) < timedelta(minutes=1)
    assert registry.call("GET", "/v2/", auth=("AWS", password)).status_code == 200


def test_a_key_without_the_right_gets_no_token(registry: RegistryClient) -> None:
    caller = Caller(access_key_id="AKIALIMITED", principal_arn=ROOT, account="123456789012", actions=("ecs:*",))
    key = Key(access_key_id="AKIALIMITED", secret="limited", caller=caller)
    limited = Loopback(str(registry.store.url), [service], find_key={key.access_key_id: key}.get)
    try:
        with pytest.raises(ClientError) as caught:
            limited.client("ecr", key).get_authorization_token()
    finally:
        limited.close()
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"


def test_layers_are_available_only_where_they_were_pushed(ecr: Any, registry: RegistryClient) -> None:
    for name in ("web", "other"):
        ecr.create_repository(repositoryName=name)
    digest = registry.push_blob("web", b"twelve bytes")

    def asked(name: str) -> Any:
        return ecr.batch_check_layer_availability(repositoryName=name, layerDigests=[digest, "rubbish"])

    assert asked("web")["layers"] == [{"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": 12}]
    assert asked("web")["failures"][0]["failureCode"] == "InvalidLayerDigest"
    assert asked("other")["layers"][0]["layerAvailability"] == "UNAVAILABLE"


def test_a_download_link_reads_its_layer_and_nothing_else(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    digest, other = registry.push_blob("web", b"layer"), registry.push_blob("web", b"other")
    url = ecr.get_download_url_for_layer(repositoryName="web", layerDigest=digest)["downloadUrl"]
    assert requests.get(url, timeout=10).content == b"layer"
    assert requests.get(url.replace(digest, other), timeout=10).status_code == 403
    assert requests.get(url.replace(f"/web/blobs/{digest}", "/"), timeout=10).status_code == 403
    assert requests.delete(url, timeout=10).status_code == 403
    assert requests.get(url[:-8], timeout=10).status_code == 401
    with pytest.raises(ecr.exceptions.LayersNotFoundException):
        ecr.get_download_url_for_layer(repositoryName="web", layerDigest="sha256:" + "0" * 64)


def test_another_registry_has_no_repositories_here(ecr: Any) -> None:
    ecr.create_repository(repositoryName="web")
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException, match="999999999999"):
        ecr.list_images(repositoryName="web", registryId="999999999999")
    assert ecr.describe_registry()["registryId"] == "123456789012"


def test_nonsense_is_refused_with_a_code(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    registry.push_image("web", "v1")
    refused = ecr.exceptions.InvalidParameterException
    with pytest.raises(refused):
        ecr.describe_images(repositoryName="web", imageIds=[{"imageTag": "\0"}])
    with pytest.raises(refused):
        ecr.tag_resource(resourceArn="arn:aws:ecr:us-east-1:123456789012:repository/\0", tags=[])
    forged = [encode_token(value, scope=scope_of("DescribeRepositories")) for value in (7, None, ["x"], "\0", {})]
    for token in ["rubbish", "\0", *forged]:
        with pytest.raises(refused):
            ecr.describe_repositories(nextToken=token)
    failures = ecr.batch_get_image(
        repositoryName="web", imageIds=[{"imageTag": "-no tag"}, {"imageDigest": "sha256:xyz"}, {"imageTag": "x" * 300}]
    )["failures"]
    assert [each["failureCode"] for each in failures] == ["InvalidImageTag", "InvalidImageDigest", "InvalidImageTag"]
