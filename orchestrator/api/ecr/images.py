"""Images over the ECR API: described, listed, fetched, put and deleted in batches."""

from collections.abc import Mapping
from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.aws.paging import encode_token, page, scope_of
from orchestrator.api.ecr.errors import (
    ImageAlreadyExistsException,
    ImageDigestDoesNotMatchException,
    LimitExceededException,
    in_aws_words,
)
from orchestrator.api.ecr.finding import (
    Missed,
    find_image_of,
    find_named_repository,
    look_up,
    make_room_for,
    page_start,
)
from orchestrator.api.ecr.pulling import find_image, find_pulled_repository, pull_images
from orchestrator.api.ecr.scan_view import render_scans
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from orchestrator.errand import Errand
from registry.cache.fetching import Fetched
from registry.images import Push, put_image, remove_image, remove_tag
from registry.manifests import read_manifest
from registry.names import algorithm_of, digest_of, is_digest
from registry.scanning.rules import frequency_of
from state.images import (
    Image,
    get_image,
    get_tag,
    list_image_ids,
    list_images,
    lists_that_need,
    tags_of,
)
from state.repositories import Repository, lock_repository
from state.scans import scans_of

_PAGE = 100
_LARGEST_ANSWER = 32 * 1024 * 1024
_TAGGED = {"TAGGED": True, "UNTAGGED": False}


@ecr.operation("DescribeImages")
def describe_images(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """What is known of the images asked for, or of all by digest, a page at a time."""
    repository = find_named_repository(call, request)
    wanted, token = request.get("imageIds"), request.get("nextToken")
    if wanted:
        if token or request.get("maxResults"):
            raise InvalidParameterException(
                "Invalid parameter: nextToken and maxResults cannot be given together with imageIds"
            )
        found = {image.digest: image for image in (find_image_of(call, repository, each) for each in wanted)}
        return {"imageDetails": _details(call, repository, list(found.values()))}
    filters = request.get("filter") or {}
    scope = scope_of("DescribeImages", repository=repository.name, filter=filters)
    limit = request.get("maxResults") or _PAGE
    images = list_images(
        call.session,
        repository.name,
        status=_status(filters),
        tagged=_TAGGED.get(filters.get("tagStatus", "ANY")),
        after=page_start(token, scope),
        limit=limit + 1,
    )
    answer: dict[str, Any] = {"imageDetails": _details(call, repository, list(images[:limit]))}
    if len(images) > limit:
        answer["nextToken"] = encode_token(images[limit - 1].digest, scope=scope)
    return answer


@ecr.operation("ListImages")
def list_repository_images(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Digest and tag of every image, once for each of its tags, a page at a time."""
    repository = find_named_repository(call, request)
    filters = request.get("filter") or {}
    tagged = _TAGGED.get(filters.get("tagStatus", "ANY"))
    ids, token = page(
        list_image_ids(call.session, repository.name, status=_status(filters), tagged=tagged),
        key=lambda found: (found[0], found[1] or ""),
        limit=request.get("maxResults") or _PAGE,
        token=request.get("nextToken"),
        scope=scope_of("ListImages", repository=repository.name, filter=filters),
    )
    answer: dict[str, Any] = {"imageIds": [_image_id(digest, tag) for digest, tag in ids]}
    return {**answer, "nextToken": token} if token else answer


@ecr.operation("BatchGetImage", outside=True)
def batch_get_image(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    """The manifests of the images asked for, as they were pushed, or pulled through from an upstream."""
    pulled = pull_images(errand, request)
    return errand.read(lambda call: _get_images(call, request, pulled))


@ecr.operation("PutImage")
def put_repository_image(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Keep a manifest whose layers are here already, and point a tag to it."""
    make_room_for(call, request)
    lock_repository(call.session, request["repositoryName"])
    repository = find_named_repository(call, request)
    account, tag = call.settings.account, request.get("imageTag")
    body = request["imageManifest"].encode()
    digest = _digest(body, request.get("imageDigest"))
    with in_aws_words(repository.name, account):
        manifest = read_manifest(body, request.get("imageManifestMediaType"))
        taken = get_tag(call.session, repository.name, tag) if tag else None
        known = get_image(call.session, repository.name, digest)
        if known is not None and (tag is None or (taken is not None and taken.digest == digest)):
            raise ImageAlreadyExistsException(
                f"Image with digest '{digest}' and tag '{tag or 'null'}' already exists in the repository "
                f"with name '{repository.name}' in registry with id '{account}'"
            )
        push = Push(digest=digest, body=body, manifest=manifest, tags=[tag] if tag else [])
        image = put_image(
            call.session, repository.name, push, account=account, now=call.now, sparse=call.settings.registry_sparse
        )
    return {"image": _render(call, repository.name, image, tag, text=request["imageManifest"])}


@ecr.operation("BatchDeleteImage")
def batch_delete_image(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Take tags away, an image with its last one; by digest an image with all of them."""
    lock_repository(call.session, request["repositoryName"])
    repository = find_named_repository(call, request)
    deleted, failures = [], []
    for image_id in _each_once(request["imageIds"]):
        gone = _delete(call, repository.name, image_id)
        if isinstance(gone, Missed):
            failures.append(_failure(image_id, gone))
        else:
            deleted += gone
    return {"imageIds": deleted, "failures": failures}


def _get_images(call: Call, request: dict[str, Any], pulled: Mapping[str, Fetched | Missed]) -> dict[str, Any]:
    repository = find_pulled_repository(call, request, pulled)
    accepted = request.get("acceptedMediaTypes")
    images: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    size = 0
    for image_id in _each_once(request["imageIds"]):
        found = find_image(call, repository.name, image_id, pulled)
        if not isinstance(found, Missed) and accepted and found.media_type not in accepted:
            found = Missed(code="ImageNotFound", reason="Requested image has none of the accepted media types")
        if isinstance(found, Image) and found.status != "ACTIVE":
            found = Missed(code="ImageInaccessible", reason="Requested image is archived; restore it to pull it")
        if isinstance(found, Missed):
            failures.append(_failure(image_id, found))
        else:
            size += len(found.body)
            if size > _LARGEST_ANSWER:
                raise LimitExceededException
            images.append(_render(call, repository.name, found, image_id.get("imageTag")))
    return {"images": images, "failures": failures}


def _delete(call: Call, repository: str, image_id: dict[str, Any]) -> list[dict[str, Any]] | Missed:
    found = look_up(call, repository, image_id)
    if isinstance(found, Missed):
        return found
    digest, tag = found.digest, image_id.get("imageTag")
    tags = tags_of(call.session, repository, [digest]).get(digest, [])
    if tag is not None and len(tags) > 1:
        remove_tag(call.session, repository, tag, now=call.now)
        return [_image_id(digest, tag)]
    lists = lists_that_need(call.session, repository, digest)
    if lists:
        return Missed(
            code="ImageReferencedByManifestList",
            reason=f"Requested image referenced by manifest list: [{', '.join(lists)}]",
        )
    remove_image(call.session, repository, digest, now=call.now)
    return [_image_id(digest, name) for name in tags] or [_image_id(digest, None)]


def _details(call: Call, repository: Repository, images: list[Image]) -> list[dict[str, Any]]:
    tags = tags_of(call.session, repository.name, [image.digest for image in images])
    scans = scans_of(call.session, repository.name, [image.digest for image in images])
    told = render_scans(scans, frequency_of(call.session, repository)) if scans else {}
    return [_detail(call, image, tags.get(image.digest, []), told.get(image.digest, {})) for image in images]


def _detail(call: Call, image: Image, tags: list[str], scan: dict[str, Any]) -> dict[str, Any]:
    detail = {
        "registryId": call.settings.account,
        "repositoryName": image.repository,
        "imageDigest": image.digest,
        "imageTags": tags or None,
        "imageSizeInBytes": image.size,
        "imagePushedAt": image.pushed_at,
        "imageManifestMediaType": image.media_type,
        "artifactMediaType": image.artifact_type,
        **scan,
        "lastRecordedPullTime": image.pulled_at,
        "subjectManifestDigest": image.subject,
        "imageStatus": image.status,
        "lastArchivedAt": image.archived_at,
        "lastActivatedAt": image.activated_at,
    }
    return {member: value for member, value in detail.items() if value is not None}


def _render(
    call: Call, repository: str, image: Image | Fetched, tag: str | None, *, text: str | None = None
) -> dict[str, Any]:
    return {
        "registryId": call.settings.account,
        "repositoryName": repository,
        "imageId": _image_id(image.digest, tag),
        "imageManifest": image.body.decode() if text is None else text,
        "imageManifestMediaType": image.media_type,
    }


def _digest(body: bytes, said: str | None) -> str:
    if said is None:
        return digest_of(body)
    if not is_digest(said):
        raise InvalidParameterException("Invalid parameter at 'imageDigest' failed to satisfy constraint: 'digest'")
    digest = digest_of(body, algorithm_of(said))
    if digest != said:
        raise ImageDigestDoesNotMatchException(f"The image's digest is '{digest}' and not '{said}' as the request says")
    return digest


def _status(filters: dict[str, Any]) -> str | None:
    """The status that images must have to be listed; None for all."""
    said = filters.get("imageStatus", "ACTIVE")
    return None if said == "ANY" else str(said)


def _each_once(image_ids: list[dict[str, Any]]) -> list[dict[str, Any]]:
    seen = {(each.get("imageDigest"), each.get("imageTag")): each for each in image_ids}
    return list(seen.values())


def _image_id(digest: str, tag: str | None) -> dict[str, Any]:
    return {"imageDigest": digest, "imageTag": tag} if tag is not None else {"imageDigest": digest}


def _failure(image_id: dict[str, Any], missed: Missed) -> dict[str, Any]:
    return {"imageId": image_id, "failureCode": missed.code, "failureReason": missed.reason}
