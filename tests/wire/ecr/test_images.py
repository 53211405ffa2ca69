"""ECR's images through boto3, beside a running registry on the same store."""

import json
from typing import Any

import pytest

from tests.support.registry import (
    OCI_INDEX,
    OCI_MANIFEST,
    RegistryClient,
    image_of,
    sha256,
)


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


def test_too_many_large_manifests_for_one_answer_are_refused(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    registry.push_blob("web", b"{}")
    annotations = {f"org.example.{number}": "x" * 10_000 for number in range(350)}
    digests = [registry.push_manifest("web", image_of(annotations={**annotations, "n": str(n)})) for n in range(10)]
    with pytest.raises(ecr.exceptions.LimitExceededException):
        ecr.batch_get_image(repositoryName="web", imageIds=[{"imageDigest": digest} for digest in digests])
    (one,) = ecr.batch_get_image(repositoryName="web", imageIds=[{"imageDigest": digests[0]}])["images"]
    assert sha256(one["imageManifest"].encode()) == digests[0]
