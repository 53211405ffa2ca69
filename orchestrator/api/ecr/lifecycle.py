"""Lifecycle policies over the ECR API: put, told, previewed and deleted."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.aws.paging import page, scope_of
from orchestrator.api.ecr.errors import (
    LifecyclePolicyNotFoundException,
    LifecyclePolicyPreviewNotFoundException,
)
from orchestrator.api.ecr.finding import find_named_repository
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from registry.lifecycle.policy import ARCHIVE, BadPolicy, Rule, read_policy
from registry.lifecycle.sight import foresee
from registry.uses import images_in_use
from state.lifecycle_policies import (
    LifecyclePolicy,
    PreviewedImage,
    get_lifecycle_policy,
    get_preview,
    list_previewed_images,
    put_preview,
)
from state.repositories import Repository, lock_repository

_PAGE = 100
# How long a preview tells the truth.
_PREVIEW_LASTS = timedelta(hours=24)


@ecr.operation("PutLifecyclePolicy")
def put_lifecycle_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The repository's policy from now on; it is evaluated at once, and then every hour."""
    lock_repository(call.session, request["repositoryName"])
    repository, text = find_named_repository(call, request), request["lifecyclePolicyText"]
    _rules(text)
    policy = get_lifecycle_policy(call.session, repository.name)
    if policy is None:
        call.session.add(LifecyclePolicy(repository=repository.name, text=text, due_at=call.now))
    elif policy.text != text:
        policy.text, policy.evaluated_at, policy.due_at = text, None, call.now
    call.session.wake("lifecycle")
    return _answer(call, repository, text)


@ecr.operation("GetLifecyclePolicy")
def get_repository_lifecycle_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The policy, and when it was evaluated last."""
    repository, policy = _find(call, request)
    return _answer(call, repository, policy.text, lastEvaluatedAt=policy.evaluated_at)


@ecr.operation("DeleteLifecyclePolicy")
def delete_lifecycle_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Nothing expires any more."""
    lock_repository(call.session, request["repositoryName"])
    repository, policy = _find(call, request)
    call.session.delete(policy)
    return _answer(call, repository, policy.text, lastEvaluatedAt=policy.evaluated_at)


@ecr.operation("StartLifecyclePolicyPreview")
def start_lifecycle_policy_preview(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """What a policy would do now, by the evaluator that does it. It is complete when this returns."""
    lock_repository(call.session, request["repositoryName"])
    repository, text = find_named_repository(call, request), request.get("lifecyclePolicyText")
    if text is None:
        text = _find(call, request)[1].text
    uses = images_in_use(call.session, call.settings)
    fates = foresee(call.session, repository.name, _rules(text), uses=uses, now=call.now)
    images = [
        {
            "digest": fate.image.digest,
            "tags": list(fate.image.tags),
            "pushed_at": fate.image.pushed_at,
            "storage_class": fate.image.storage_class,
            "action": fate.action,
            "priority": fate.priority,
        }
        for fate in fates
        if not fate.kept
    ]
    put_preview(call.session, repository.name, text, images, now=call.now)
    return _answer(call, repository, text, status="COMPLETE")


@ecr.operation("GetLifecyclePolicyPreview")
def get_lifecycle_policy_preview(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The preview's images, a page at a time, and their number in all."""
    repository = find_named_repository(call, request)
    preview = get_preview(call.session, repository.name)
    if preview is None:
        raise LifecyclePolicyPreviewNotFoundException(
            f"Lifecycle policy preview does not exist for the repository with name '{repository.name}' "
            f"in the registry with id '{call.settings.account}'"
        )
    if call.now - preview.made_at > _PREVIEW_LASTS:
        return _answer(call, repository, preview.text, status="EXPIRED")
    wanted, filters = request.get("imageIds"), request.get("filter") or {}
    if wanted and (request.get("nextToken") or request.get("maxResults")):
        raise InvalidParameterException(
            "Invalid parameter: nextToken and maxResults cannot be given together with imageIds"
        )
    images = [
        image
        for image in list_previewed_images(call.session, repository.name)
        if _meets(image, filters.get("tagStatus", "ANY")) and (not wanted or _is_among(image, wanted))
    ]
    shown, token = page(
        images,
        key=lambda image: (image.pushed_at.timestamp(), image.digest),
        limit=request.get("maxResults") or _PAGE,
        token=request.get("nextToken"),
        scope=scope_of("GetLifecyclePolicyPreview", repository=repository.name, filter=filters),
    )
    moving = sum(image.action == "TRANSITION" for image in images)
    summary: dict[str, Any] = {"expiringImageTotalCount": len(images) - moving}
    if moving:
        summary["transitioningImageTotalCounts"] = [{"targetStorageClass": ARCHIVE, "imageTotalCount": moving}]
    answer = _answer(call, repository, preview.text, status="COMPLETE", summary=summary)
    answer["previewResults"] = [_render(image) for image in shown]
    return {**answer, "nextToken": token} if token else answer


def _rules(text: str) -> tuple[Rule, ...]:
    try:
        return read_policy(text)
    except BadPolicy as trouble:
        raise InvalidParameterException(
            "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: "
            f"'Lifecycle policy validation failure: {trouble}'"
        ) from None


def _find(call: Call, request: Mapping[str, Any]) -> tuple[Repository, LifecyclePolicy]:
    repository = find_named_repository(call, request)
    policy = get_lifecycle_policy(call.session, repository.name)
    if policy is None:
        raise LifecyclePolicyNotFoundException(
            f"Lifecycle policy does not exist for the repository with name '{repository.name}' "
            f"in the registry with id '{call.settings.account}'"
        )
    return repository, policy


def _answer(call: Call, repository: Repository, text: str, **members: Any) -> dict[str, Any]:
    answer = {
        "registryId": call.settings.account,
        "repositoryName": repository.name,
        "lifecyclePolicyText": text,
        **members,
    }
    return {member: value for member, value in answer.items() if value is not None}


def _meets(image: PreviewedImage, tag_status: str) -> bool:
    return tag_status == "ANY" or (tag_status == "TAGGED") == bool(image.tags)


def _is_among(image: PreviewedImage, image_ids: list[dict[str, Any]]) -> bool:
    return any(
        each.get("imageDigest", image.digest) == image.digest
        and ("imageTag" not in each or each["imageTag"] in image.tags)
        for each in image_ids
    )


def _render(image: PreviewedImage) -> dict[str, Any]:
    action = {"type": image.action}
    if image.action == "TRANSITION":
        action["targetStorageClass"] = ARCHIVE
    return {
        "imageTags": image.tags,
        "imageDigest": image.digest,
        "imagePushedAt": image.pushed_at,
        "action": action,
        "appliedRulePriority": image.priority,
        "storageClass": image.storage_class,
    }
