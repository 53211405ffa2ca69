"""ECR through boto3, beside a running registry on the same store."""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from kit.aws.paging import encode_token, scope_of
from kit.aws.sigv4 import Caller, Key
from kit.settings import Settings
from orchestrator.api.ecr import ecr as service
from state.access_keys import AccessKey
from tests.support.loopback import KEY, ROOT, Loopback
from tests.support.registry import (
    OCI_INDEX,
    OCI_MANIFEST,
    RegistryClient,
    image_of,
    running_registry,
    sha256,
)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryClient]:
    with running_registry(tmp_path) as running:
        running.token(key_id=KEY.access_key_id)
        yield running


@pytest.fixture
def loopback(registry: RegistryClient, tmp_path: Path) -> Iterator[Loopback]:
    loopback = Loopback(
        str(registry.store.url),
        [service],
        settings=Settings(data=tmp_path, registry_port=int(registry.address.partition(":")[2])),
        secrets=registry.secrets,
    )
    yield loopback
    loopback.close()


@pytest.fixture
def ecr(loopback: Loopback) -> Any:
    return loopback.client("ecr")


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
    ecr: Any, loopback: Loopback, registry: RegistryClient
) -> None:
    before = loopback.clock.now()
    (data,) = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    assert user == "AWS"
    assert data["proxyEndpoint"] == f"http://{registry.address}"
    assert abs(data["expiresAt"] - before - timedelta(hours=12)) < timedelta(minutes=1)
    assert registry.call("GET", "/v2/", auth=("AWS", password)).status_code == 200


def test_a_token_ends_with_its_access_key(ecr: Any, registry: RegistryClient) -> None:
    (data,) = ecr.get_authorization_token()["authorizationData"]
    headers = {"Authorization": f"Basic {data['authorizationToken']}"}
    assert requests.get(registry.url("/v2/"), headers=headers, timeout=10).status_code == 200
    registry.store.transact(lambda session: session.delete(session.get(AccessKey, KEY.access_key_id)))
    assert requests.get(registry.url("/v2/"), headers=headers, timeout=10).status_code == 401


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


def test_a_pushed_image_is_described_with_its_tags_and_compressed_size(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    digest = registry.push_image("web", "v1", layer=b"x" * 1000)
    registry.call(
        "PUT",
        "web/manifests/latest",
        data=registry.call("GET", "web/manifests/v1").content,
        headers={"Content-Type": OCI_MANIFEST},
    )
    (detail,) = ecr.describe_images(repositoryName="web", imageIds=[{"imageTag": "v1"}])["imageDetails"]
    assert detail["imageDigest"] == digest
    assert detail["imageTags"] == ["latest", "v1"]
    assert detail["imageSizeInBytes"] == 1002
    assert detail["imageManifestMediaType"] == OCI_MANIFEST
    assert detail["imageStatus"] == "ACTIVE"
    assert detail["lastRecordedPullTime"] >= detail["imagePushedAt"]


def test_describing_an_unknown_image_names_it(ecr: Any) -> None:
    ecr.create_repository(repositoryName="web")
    with pytest.raises(ecr.exceptions.ImageNotFoundException, match="imageTag:'v9'"):
        ecr.describe_images(repositoryName="web", imageIds=[{"imageTag": "v9"}])


def test_images_are_listed_by_tag_status_and_paged(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    tagged = {registry.push_image("web", f"v{n}", layer=b"layer %d" % n) for n in range(3)}
    bare = registry.push_image("web", layer=b"bare")

    def listed(**filters: str) -> list[dict[str, str]]:
        pages = ecr.get_paginator("list_images").paginate(
            repositoryName="web", filter=filters, PaginationConfig={"PageSize": 2}
        )
        return [each for page in pages for each in page["imageIds"]]

    assert listed(tagStatus="UNTAGGED") == [{"imageDigest": bare}]
    assert {each["imageDigest"] for each in listed(tagStatus="TAGGED")} == tagged
    assert len(listed()) == 4
    described = ecr.describe_images(repositoryName="web", filter={"tagStatus": "UNTAGGED"})["imageDetails"]
    assert [(each["imageDigest"], "imageTags" in each) for each in described] == [(bare, False)]


def test_a_page_token_of_another_repository_is_refused(ecr: Any, registry: RegistryClient) -> None:
    for name in ("web", "other"):
        ecr.create_repository(repositoryName=name)
    for n in range(2):
        registry.push_image("web", f"v{n}", layer=b"layer %d" % n)
    token = ecr.list_images(repositoryName="web", maxResults=1)["nextToken"]
    with pytest.raises(ecr.exceptions.InvalidParameterException):
        ecr.list_images(repositoryName="other", maxResults=1, nextToken=token)


def test_batch_get_image_answers_exact_manifests_and_tells_each_failure(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    digest = registry.push_image("web", "v1")
    answer = ecr.batch_get_image(
        repositoryName="web",
        imageIds=[
            {"imageTag": "v1"},
            {"imageDigest": digest},
            {"imageTag": "v9"},
            {"imageDigest": "sha256:" + "0" * 64, "imageTag": "v1"},
            {"imageDigest": "nonsense"},
            {},
        ],
    )
    exact = registry.call("GET", "web/manifests/v1").text
    assert [image["imageManifest"] for image in answer["images"]] == [exact, exact]
    assert answer["images"][0]["imageId"] == {"imageDigest": digest, "imageTag": "v1"}
    assert [failure["failureCode"] for failure in answer["failures"]] == [
        "ImageNotFound",
        "ImageTagDoesNotMatchDigest",
        "InvalidImageDigest",
        "MissingDigestAndTag",
    ]


def test_put_image_gives_an_image_another_tag(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    digest = registry.push_image("web", "v1")
    manifest = ecr.batch_get_image(repositoryName="web", imageIds=[{"imageTag": "v1"}])["images"][0]["imageManifest"]
    image = ecr.put_image(repositoryName="web", imageManifest=manifest, imageTag="stable")["image"]
    assert image["imageId"] == {"imageDigest": digest, "imageTag": "stable"}
    assert registry.call("GET", "web/manifests/stable").text == manifest
    with pytest.raises(ecr.exceptions.ImageAlreadyExistsException):
        ecr.put_image(repositoryName="web", imageManifest=manifest, imageTag="stable")


def test_put_image_needs_its_layers_and_its_digest(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    text = json.dumps(image_of(b"never pushed"))
    with pytest.raises(ecr.exceptions.LayersNotFoundException, match=sha256(b"never pushed")):
        ecr.put_image(repositoryName="web", imageManifest=text, imageTag="v1")
    with pytest.raises(ecr.exceptions.ImageDigestDoesNotMatchException):
        ecr.put_image(repositoryName="web", imageManifest=text, imageDigest="sha256:" + "0" * 64)
    with pytest.raises(ecr.exceptions.InvalidParameterException):
        ecr.put_image(repositoryName="web", imageManifest="{", imageTag="v1")
    with pytest.raises(ecr.exceptions.InvalidParameterException):
        ecr.put_image(repositoryName="web", imageManifest=text, imageTag="not a tag")
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [{"mediaType": OCI_MANIFEST, "digest": "sha256:" + "1" * 64, "size": 2}],
        }
    )
    with pytest.raises(ecr.exceptions.ReferencedImagesNotFoundException):
        ecr.put_image(repositoryName="web", imageManifest=index, imageTag="all")


def test_an_immutable_tag_moves_neither_by_the_api_nor_by_a_push(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web", imageTagMutability="IMMUTABLE")
    first = registry.push_image("web", "v1")
    # The same image under the same tag is no move.
    assert registry.push_image("web", "v1") == first
    registry.push_blob("web", b"other")
    other = json.dumps(image_of(b"other"))
    with pytest.raises(ecr.exceptions.ImageTagAlreadyExistsException, match="'v1' already exists in the 'web'"):
        ecr.put_image(repositoryName="web", imageManifest=other, imageTag="v1")
    pushed = registry.call("PUT", "web/manifests/v1", data=other, headers={"Content-Type": OCI_MANIFEST})
    assert (pushed.status_code, pushed.json()["errors"][0]["code"]) == (400, "TAG_INVALID")
    assert ecr.describe_images(repositoryName="web")["imageDetails"][0]["imageTags"] == ["v1"]
    # A refused push leaves nothing behind.
    assert len(ecr.list_images(repositoryName="web")["imageIds"]) == 1
    ecr.put_image_tag_mutability(repositoryName="web", imageTagMutability="MUTABLE")
    ecr.put_image(repositoryName="web", imageManifest=other, imageTag="v1")


def test_exclusion_filters_turn_mutability_around(ecr: Any, registry: RegistryClient) -> None:
    filters = [{"filterType": "WILDCARD", "filter": "dev-*"}]
    for name, mutability in (("a", "IMMUTABLE_WITH_EXCLUSION"), ("b", "MUTABLE_WITH_EXCLUSION")):
        ecr.create_repository(repositoryName=f"re/{name}")
        answer = ecr.put_image_tag_mutability(
            repositoryName=f"re/{name}",
            imageTagMutability=mutability,
            imageTagMutabilityExclusionFilters=filters,
        )
        assert answer["imageTagMutabilityExclusionFilters"] == filters
        for tag in ("dev-1", "v1"):
            registry.push_image(f"re/{name}", tag)
    other = json.dumps(image_of(b"other"))
    moved = set()
    for name in ("a", "b"):
        registry.push_blob(f"re/{name}", b"other")
        for tag in ("dev-1", "v1"):
            answer = registry.call(
                "PUT", f"re/{name}/manifests/{tag}", data=other, headers={"Content-Type": OCI_MANIFEST}
            )
            moved |= {(name, tag)} if answer.status_code == 201 else set()
    assert moved == {("a", "dev-1"), ("b", "v1")}
    with pytest.raises(ecr.exceptions.InvalidParameterException):
        ecr.put_image_tag_mutability(repositoryName="re/a", imageTagMutability="MUTABLE_WITH_EXCLUSION")


def test_deleting_the_last_tag_deletes_the_image(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    digest = registry.push_image("web", "v1")
    registry.push_image("web", "v2")
    one = ecr.batch_delete_image(repositoryName="web", imageIds=[{"imageTag": "v1"}])
    assert one["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]
    assert registry.call("GET", f"web/manifests/{digest}").status_code == 200
    ecr.batch_delete_image(repositoryName="web", imageIds=[{"imageTag": "v2"}])
    assert registry.call("GET", f"web/manifests/{digest}").status_code == 404


def test_deleting_both_tags_in_one_request_deletes_the_image(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    for tag in ("v1", "v2"):
        registry.push_image("web", tag)
    answer = ecr.batch_delete_image(repositoryName="web", imageIds=[{"imageTag": "v1"}, {"imageTag": "v2"}])
    assert [each["imageTag"] for each in answer["imageIds"]] == ["v1", "v2"]
    assert ecr.list_images(repositoryName="web")["imageIds"] == []


def test_deleting_by_digest_takes_every_tag_and_tells_them(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    digest = registry.push_image("web", "v1")
    registry.push_image("web", "v2")
    answer = ecr.batch_delete_image(repositoryName="web", imageIds=[{"imageDigest": digest}, {"imageTag": "v1"}])
    assert [each["imageTag"] for each in answer["imageIds"]] == ["v1", "v2"]
    assert [failure["failureCode"] for failure in answer["failures"]] == ["ImageNotFound"]


def test_a_part_of_a_manifest_list_is_not_deleted(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    child = registry.push_image("web")
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{"mediaType": OCI_MANIFEST, "digest": child, "size": 2}],
    }
    parent = registry.push_manifest("web", index, "all")
    answer = ecr.batch_delete_image(repositoryName="web", imageIds=[{"imageDigest": child}])
    assert [failure["failureCode"] for failure in answer["failures"]] == ["ImageReferencedByManifestList"]
    both = ecr.batch_delete_image(repositoryName="web", imageIds=[{"imageDigest": parent}, {"imageDigest": child}])
    assert both["failures"] == []


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


def test_too_many_large_manifests_for_one_answer_are_refused(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    registry.push_blob("web", b"{}")
    annotations = {f"org.example.{number}": "x" * 10_000 for number in range(350)}
    digests = [registry.push_manifest("web", image_of(annotations={**annotations, "n": str(n)})) for n in range(10)]
    with pytest.raises(ecr.exceptions.LimitExceededException):
        ecr.batch_get_image(repositoryName="web", imageIds=[{"imageDigest": digest} for digest in digests])
    (one,) = ecr.batch_get_image(repositoryName="web", imageIds=[{"imageDigest": digests[0]}])["images"]
    assert sha256(one["imageManifest"].encode()) == digests[0]
