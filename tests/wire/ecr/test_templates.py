"""Repository creation templates over the wire, and repositories made from them by pushes at both doors."""

import json
from typing import Any

import pytest

from tests.support.refusals import refused_code
from tests.support.registry import RegistryClient, image_of, sha256

LIFECYCLE = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 3},
                "action": {"type": "expire"},
            }
        ]
    }
)
POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}],
    }
)
FULL: dict[str, Any] = {
    "prefix": "team",
    "description": "the team's",
    "appliedFor": ["CREATE_ON_PUSH", "REPLICATION"],
    "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
    "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "dev*"}],
    "encryptionConfiguration": {"encryptionType": "AES256"},
    "resourceTags": [{"Key": "owner", "Value": "team"}],
    "repositoryPolicy": POLICY,
    "lifecyclePolicy": LIFECYCLE,
    "customRoleArn": "arn:aws:iam::123456789012:role/templates",
}


def on_push(ecr: Any, prefix: str = "team", **members: Any) -> None:
    ecr.create_repository_creation_template(prefix=prefix, appliedFor=["CREATE_ON_PUSH"], **members)


def test_a_template_is_told_as_it_was_given(ecr: Any) -> None:
    made = ecr.create_repository_creation_template(**FULL)
    assert made["registryId"] == "123456789012"
    (found,) = ecr.describe_repository_creation_templates()["repositoryCreationTemplates"]
    assert found == made["repositoryCreationTemplate"]
    assert {name: found[name] for name in FULL if "Policy" not in name} == {
        name: value for name, value in FULL.items() if "Policy" not in name
    }
    assert json.loads(found["lifecyclePolicy"]) == json.loads(LIFECYCLE)
    assert json.loads(found["repositoryPolicy"]) == json.loads(POLICY)
    assert refused_code(ecr.create_repository_creation_template, **FULL) == "TemplateAlreadyExistsException"
    slashed = {**FULL, "prefix": "team/"}
    assert refused_code(ecr.create_repository_creation_template, **slashed) == "TemplateAlreadyExistsException"


def test_an_update_changes_what_is_given_alone(ecr: Any) -> None:
    before = ecr.create_repository_creation_template(**FULL)["repositoryCreationTemplate"]
    answer = ecr.update_repository_creation_template(prefix="team", appliedFor=["PULL_THROUGH_CACHE"], description="")
    after = answer["repositoryCreationTemplate"]
    assert after["appliedFor"] == ["PULL_THROUGH_CACHE"]
    assert "description" not in after
    same = before.keys() - {"appliedFor", "description", "updatedAt"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    missing = {"prefix": "nobody", "description": "x"}
    assert refused_code(ecr.update_repository_creation_template, **missing) == "TemplateNotFoundException"


def test_a_deleted_template_is_gone(ecr: Any) -> None:
    on_push(ecr)
    gone = ecr.delete_repository_creation_template(prefix="team")
    assert gone["repositoryCreationTemplate"]["prefix"] == "team"
    assert refused_code(ecr.delete_repository_creation_template, prefix="team") == "TemplateNotFoundException"
    assert ecr.describe_repository_creation_templates()["repositoryCreationTemplates"] == []


def test_templates_are_told_by_prefix_and_in_pages(ecr: Any) -> None:
    for prefix in ("c", "a", "ROOT", "b"):
        on_push(ecr, prefix)
    pages = ecr.get_paginator("describe_repository_creation_templates").paginate(PaginationConfig={"PageSize": 3})
    told = [[each["prefix"] for each in page["repositoryCreationTemplates"]] for page in pages]
    assert told == [["ROOT", "a", "b"], ["c"]]
    some = ecr.describe_repository_creation_templates(prefixes=["c", "nobody", "a/"])["repositoryCreationTemplates"]
    assert [each["prefix"] for each in some] == ["a", "c"]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"lifecyclePolicy": "{}"}, "InvalidParameterException"),
        ({"repositoryPolicy": "nonsense"}, "InvalidParameterException"),
        ({"appliedFor": []}, "InvalidParameterException"),
        ({"resourceTags": [{"Key": "aws:x", "Value": "y"}]}, "InvalidParameterException"),
        ({"encryptionConfiguration": {"encryptionType": "KMS"}}, "ValidationException"),
        (
            {"imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "x"}]},
            "InvalidParameterException",
        ),
    ],
)
def test_what_a_repository_could_not_be_made_from_is_refused(ecr: Any, members: dict[str, Any], code: str) -> None:
    given = {"prefix": "team", "appliedFor": ["CREATE_ON_PUSH"], **members}
    assert refused_code(ecr.create_repository_creation_template, **given) == code
    assert ecr.describe_repository_creation_templates()["repositoryCreationTemplates"] == []


def test_a_push_makes_its_repository_as_the_template_has_it(ecr: Any, registry: RegistryClient) -> None:
    ecr.create_repository_creation_template(**FULL)
    registry.push_image("team/new/app", "v1")
    (made,) = ecr.describe_repositories()["repositories"]
    assert made["repositoryName"] == "team/new/app"
    assert made["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"] == FULL["resourceTags"]
    policy = ecr.get_lifecycle_policy(repositoryName="team/new/app")["lifecyclePolicyText"]
    assert json.loads(policy) == json.loads(LIFECYCLE)
    policy = ecr.get_repository_policy(repositoryName="team/new/app")["policyText"]
    assert json.loads(policy) == json.loads(POLICY)


def test_the_longest_prefix_that_is_for_pushes_wins(ecr: Any, registry: RegistryClient) -> None:
    on_push(ecr, "ROOT", imageTagMutability="IMMUTABLE")
    on_push(ecr, "team", imageTagMutability="MUTABLE")
    ecr.create_repository_creation_template(
        prefix="team/web", appliedFor=["REPLICATION"], imageTagMutability="IMMUTABLE"
    )
    for name in ("other", "team/web/app"):
        registry.push_image(name, "v1")
    found = {each["repositoryName"]: each["imageTagMutability"] for each in ecr.describe_repositories()["repositories"]}
    assert found == {"other": "IMMUTABLE", "team/web/app": "MUTABLE"}


def test_the_api_makes_repositories_on_push_too(ecr: Any, registry: RegistryClient) -> None:
    on_push(ecr)
    layer = b"x" * 100
    upload = ecr.initiate_layer_upload(repositoryName="team/app")["uploadId"]
    ecr.upload_layer_part(
        repositoryName="team/app", uploadId=upload, partFirstByte=0, partLastByte=99, layerPartBlob=layer
    )
    ecr.complete_layer_upload(repositoryName="team/app", uploadId=upload, layerDigests=[sha256(layer)])
    manifest = json.dumps(image_of(config=layer))
    assert ecr.put_image(repositoryName="team/app", imageManifest=manifest, imageTag="v1")["image"]["imageId"]
    # Refused for what it lacks, in a repository that is there from now on only if the whole push succeeds.
    assert refused_code(ecr.put_image, repositoryName="team/b", imageManifest=manifest) == "LayersNotFoundException"
    assert refused_code(ecr.put_image, repositoryName="other", imageManifest=manifest) == "RepositoryNotFoundException"
    assert [each["repositoryName"] for each in ecr.describe_repositories()["repositories"]] == ["team/app"]


def test_without_a_template_or_the_right_nothing_is_made(ecr: Any, registry: RegistryClient) -> None:
    assert registry.call("POST", "team/app/blobs/uploads/").status_code == 404
    on_push(ecr)
    pusher = ("AWS", registry.token(key_id="pusher", actions=["ecr:InitiateLayerUpload", "ecr:PutImage"]))
    answer = registry.call("POST", "team/app/blobs/uploads/", auth=pusher)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "NAME_UNKNOWN")
    assert registry.call("POST", "team/a..b/blobs/uploads/").status_code == 400
    assert ecr.describe_repositories()["repositories"] == []
    assert registry.call("POST", "team/app/blobs/uploads/").status_code == 202
