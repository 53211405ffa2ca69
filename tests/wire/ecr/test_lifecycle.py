"""Lifecycle policies and the archive through boto3, beside a running registry; the loop is stepped by hand."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from orchestrator.operations import SERVICES
from registry.loops.lifecycle import LifecycleLoop
from state.images import Image
from state.loop import Leases
from tests.support.loopback import Loopback
from tests.support.registry import OCI_INDEX, RegistryClient, descriptor, image_of, sha256


def policy(
    count: int = 1, *, description: str = "Keep the youngest images of this repository only", **rule: Any
) -> str:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": count}
    return json.dumps(
        {
            "rules": [
                {
                    "rulePriority": 10,
                    "description": "Keep the youngest images of this repository only",
                    "selection": selection,
                    "action": {"type": "expire"},
                    **rule,
                }
            ]
        }
    )


class Ground:
    """A repository with three images, the oldest first, and the loop that looks after it."""

    def __init__(self, ecr: Any, plane: Loopback, registry: RegistryClient) -> None:
        self.ecr, self.plane, self.registry = ecr, plane, registry
        ecr.create_repository(repositoryName="web")
        self.digests = [registry.push_image("web", f"v{n}", layer=b"layer %d" % n) for n in range(3)]
        for age, digest in zip((3, 2, 1), self.digests, strict=True):
            self.push_earlier(digest, days=age)
        leases = Leases(plane.store, plane.clock, "one")
        self.loop = LifecycleLoop(plane.store, plane.clock, leases, settings=plane.settings)

    def push_earlier(self, digest: str, *, days: int) -> None:
        at = self.plane.clock.now() - timedelta(days=days)
        self.plane.store.transact(
            lambda session: session.execute(update(Image).where(Image.digest == digest).values(pushed_at=at))
        )

    def tags(self, **filters: str) -> list[str]:
        found = self.ecr.describe_images(repositoryName="web", filter=filters)["imageDetails"]
        return sorted(tag for each in found for tag in each.get("imageTags", ["-"]))


@pytest.fixture
def ground(ecr: Any, ecr_plane: Loopback, registry: RegistryClient) -> Ground:
    return Ground(ecr, ecr_plane, registry)


def test_a_policy_is_put_told_and_deleted(ground: Ground) -> None:
    ecr = ground.ecr
    with pytest.raises(ecr.exceptions.LifecyclePolicyNotFoundException, match="'web'"):
        ecr.get_lifecycle_policy(repositoryName="web")
    assert ecr.put_lifecycle_policy(repositoryName="web", lifecyclePolicyText=policy())["repositoryName"] == "web"
    assert "lastEvaluatedAt" not in ecr.get_lifecycle_policy(repositoryName="web")
    ground.loop.step()
    told = ecr.get_lifecycle_policy(repositoryName="web")
    assert (told["lifecyclePolicyText"], told["registryId"]) == (policy(), "123456789012")
    assert told["lastEvaluatedAt"]
    assert ecr.delete_lifecycle_policy(repositoryName="web")["lifecyclePolicyText"] == policy()
    with pytest.raises(ecr.exceptions.LifecyclePolicyNotFoundException):
        ecr.delete_lifecycle_policy(repositoryName="web")


def test_a_bad_policy_is_refused_and_the_one_before_stays(ground: Ground) -> None:
    ground.ecr.put_lifecycle_policy(repositoryName="web", lifecyclePolicyText=policy())
    with pytest.raises(ground.ecr.exceptions.InvalidParameterException, match="expire or transition"):
        ground.ecr.put_lifecycle_policy(repositoryName="web", lifecyclePolicyText=policy(action={"type": "melt"}))
    assert ground.ecr.get_lifecycle_policy(repositoryName="web")["lifecyclePolicyText"] == policy()


def test_the_loop_removes_what_the_preview_named(ground: Ground) -> None:
    ecr = ground.ecr
    assert (
        ecr.start_lifecycle_policy_preview(repositoryName="web", lifecyclePolicyText=policy())["status"] == "COMPLETE"
    )
    preview = ecr.get_lifecycle_policy_preview(repositoryName="web")
    assert [each["imageTags"] for each in preview["previewResults"]] == [["v0"], ["v1"]]
    assert {each["appliedRulePriority"] for each in preview["previewResults"]} == {10}
    assert preview["previewResults"][0]["action"] == {"type": "EXPIRE"}
    assert preview["summary"] == {"expiringImageTotalCount": 2}
    assert ground.tags() == ["v0", "v1", "v2"]
    ecr.put_lifecycle_policy(repositoryName="web", lifecyclePolicyText=policy())
    ground.loop.step()
    assert ground.tags() == ["v2"]
    assert ground.registry.call("GET", "web/manifests/v0").status_code == 404


def test_a_preview_is_paged_filtered_and_asked_for_single_images(ground: Ground) -> None:
    ecr = ground.ecr
    with pytest.raises(ecr.exceptions.LifecyclePolicyPreviewNotFoundException):
        ecr.get_lifecycle_policy_preview(repositoryName="web")
    with pytest.raises(ecr.exceptions.LifecyclePolicyNotFoundException):
        ecr.start_lifecycle_policy_preview(repositoryName="web")
    ecr.start_lifecycle_policy_preview(repositoryName="web", lifecyclePolicyText=policy())
    pages = ecr.get_paginator("get_lifecycle_policy_preview").paginate(
        repositoryName="web", PaginationConfig={"PageSize": 1}
    )
    assert [each["imageTags"] for page in pages for each in page["previewResults"]] == [["v0"], ["v1"]]
    one = ecr.get_lifecycle_policy_preview(repositoryName="web", imageIds=[{"imageTag": "v1"}, {"imageTag": "v2"}])
    assert [each["imageDigest"] for each in one["previewResults"]] == [ground.digests[1]]
    assert not ecr.get_lifecycle_policy_preview(repositoryName="web", filter={"tagStatus": "UNTAGGED"})[
        "previewResults"
    ]


def test_an_image_that_a_service_needs_is_kept(ground: Ground) -> None:
    whole = Loopback(str(ground.registry.store.url), SERVICES, settings=ground.plane.settings)
    ecs = whole.client("ecs")
    ecs.create_cluster()
    container = {"name": "main", "image": f"{ground.registry.address}/web:v0", "memory": 64}
    ecs.register_task_definition(family="web", containerDefinitions=[container])
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1)
    whole.close()
    ground.ecr.put_lifecycle_policy(repositoryName="web", lifecyclePolicyText=policy())
    ground.ecr.start_lifecycle_policy_preview(repositoryName="web")
    preview = ground.ecr.get_lifecycle_policy_preview(repositoryName="web")
    assert [each["imageTags"] for each in preview["previewResults"]] == [["v1"]]
    ground.loop.step()
    assert ground.tags() == ["v0", "v2"]


def test_what_is_about_an_expired_image_goes_with_it(ground: Ground) -> None:
    ground.registry.push_manifest(
        "web",
        image_of(
            b"layer 0",
            artifactType="application/vnd.example.signature",
            subject={"mediaType": OCI_INDEX, "digest": ground.digests[0], "size": 1},
        ),
    )
    assert ground.tags() == ["-", "v0", "v1", "v2"]
    ground.ecr.put_lifecycle_policy(repositoryName="web", lifecyclePolicyText=policy(2))
    ground.loop.step()
    ground.loop.step()
    # The signature is the youngest and counts; it is no image to be expired by itself, and goes with its image.
    assert ground.tags() == ["v2"]


def test_the_parts_of_a_list_go_after_the_list(ground: Ground) -> None:
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {**descriptor(b"", image_of()["mediaType"]), "digest": digest, "size": 1} for digest in ground.digests[:1]
        ],
    }
    parent = ground.registry.push_manifest("web", index, "list")
    ground.push_earlier(parent, days=9)
    text = policy(
        selection={"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 3}
    )
    ground.ecr.put_lifecycle_policy(repositoryName="web", lifecyclePolicyText=text)
    ground.loop.step()
    assert ground.tags() == ["v0", "v1", "v2"]
    ground.ecr.delete_lifecycle_policy(repositoryName="web")
    ground.ecr.put_lifecycle_policy(repositoryName="web", lifecyclePolicyText=text)
    ground.loop.step()
    assert ground.tags() == ["v1", "v2"]


def test_the_archive_keeps_an_image_that_cannot_be_pulled_until_it_is_active_again(ground: Ground) -> None:
    ecr, registry = ground.ecr, ground.registry
    to_archive = policy(action={"type": "transition", "targetStorageClass": "archive"})
    ecr.put_lifecycle_policy(repositoryName="web", lifecyclePolicyText=to_archive)
    ground.loop.step()
    assert ground.tags() == ["v2"]
    assert ground.tags(imageStatus="ARCHIVED") == ["v0", "v1"]
    refused = registry.call("GET", "web/manifests/v0")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "DENIED")
    (failure,) = ecr.batch_get_image(repositoryName="web", imageIds=[{"imageTag": "v0"}])["failures"]
    assert failure["failureCode"] == "ImageInaccessible"
    answer = ecr.update_image_storage_class(
        repositoryName="web", imageId={"imageTag": "v0"}, targetStorageClass="STANDARD"
    )
    assert answer["imageStatus"] == "ACTIVE"
    assert registry.call("GET", "web/manifests/v0").status_code == 200
    (detail,) = ecr.describe_images(repositoryName="web", imageIds=[{"imageTag": "v0"}])["imageDetails"]
    assert detail["lastActivatedAt"] >= detail["lastArchivedAt"]
    with pytest.raises(ecr.exceptions.ImageStorageClassUpdateNotSupportedException, match="already"):
        ecr.update_image_storage_class(repositoryName="web", imageId={"imageTag": "v0"}, targetStorageClass="STANDARD")


def test_pushing_an_archived_image_makes_it_active(ground: Ground) -> None:
    ground.ecr.update_image_storage_class(
        repositoryName="web", imageId={"imageTag": "v0"}, targetStorageClass="ARCHIVE"
    )
    assert ground.registry.push_image("web", "again", layer=b"layer 0") == ground.digests[0]
    assert ground.registry.call("GET", "web/manifests/v0").status_code == 200


def test_pulls_of_an_excluded_principal_are_not_recorded(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository(repositoryName="web")
    digest = registry.push_image("web", "v1")
    scanner = "arn:aws:iam::123456789012:user/scanner"
    password = registry.token(key_id="scanner")
    assert ecr.register_pull_time_update_exclusion(principalArn=scanner)["createdAt"]
    with pytest.raises(ecr.exceptions.ExclusionAlreadyExistsException):
        ecr.register_pull_time_update_exclusion(principalArn=scanner)
    assert ecr.list_pull_time_update_exclusions()["pullTimeUpdateExclusions"] == [scanner]

    def last_pull() -> Any:
        (detail,) = ecr.describe_images(repositoryName="web", imageIds=[{"imageDigest": digest}])["imageDetails"]
        return detail.get("lastRecordedPullTime")

    assert registry.call("GET", "web/manifests/v1", auth=("AWS", password)).content
    assert last_pull() is None
    ecr.deregister_pull_time_update_exclusion(principalArn=scanner)
    with pytest.raises(ecr.exceptions.ExclusionNotFoundException):
        ecr.deregister_pull_time_update_exclusion(principalArn=scanner)
    assert ecr.list_pull_time_update_exclusions()["pullTimeUpdateExclusions"] == []
    # Another one, because a principal that was excluded a moment ago is remembered for a minute.
    other = registry.token(key_id="other")
    assert sha256(registry.call("GET", "web/manifests/v1", auth=("AWS", other)).content) == digest
    assert last_pull() is not None
