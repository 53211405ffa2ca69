"""Referrers over the ECR API: signatures, inventories and whatever else says that it is about an image."""

from collections.abc import Sequence
from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.aws.paging import encode_token, scope_of
from orchestrator.api.ecr.finding import find_named_repository, page_start
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from registry.names import is_digest
from state.images import Image, list_referrers

_PAGE = 50
# Annotations may be megabytes for each: an answer ends early rather than growing without bound.
_LARGEST_ANSWER = 8 * 1024 * 1024


@ecr.operation("ListImageReferrers")
def list_image_referrers(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The artifacts about a digest, in the order of their own, a page at a time; the digest need not be here."""
    repository = find_named_repository(call, request)
    subject = request["subjectId"]["imageDigest"]
    if not is_digest(subject):
        raise InvalidParameterException("Invalid parameter at 'imageDigest' failed to satisfy constraint: 'digest'")
    filters = request.get("filter") or {}
    scope = scope_of("ListImageReferrers", repository=repository.name, subject=subject, filter=filters)
    limit = request.get("maxResults") or _PAGE
    status = filters.get("artifactStatus", "ACTIVE")
    images = list_referrers(
        call.session,
        repository.name,
        subject,
        status=None if status == "ANY" else status,
        artifact_types=filters.get("artifactTypes") or (),
        after=page_start(request.get("nextToken"), scope),
        limit=limit + 1,
    )
    shown = _fitting(images[:limit])
    answer: dict[str, Any] = {"referrers": [_render(image) for image in shown]}
    if len(images) > len(shown):
        answer["nextToken"] = encode_token(shown[-1].digest, scope=scope)
    return answer


def _fitting(images: Sequence[Image]) -> list[Image]:
    """Those at the beginning that one answer has room for, one at least."""
    size, shown = 0, list[Image]()
    for image in images:
        # Annotations are a part of the manifest, so they are no larger.
        size += image.body_size
        if shown and size > _LARGEST_ANSWER:
            break
        shown.append(image)
    return shown


def _render(image: Image) -> dict[str, Any]:
    found = {
        "digest": image.digest,
        "mediaType": image.media_type,
        "artifactType": image.artifact_type,
        "size": image.body_size,
        "annotations": image.annotations or None,
        "artifactStatus": image.status,
    }
    return {member: value for member, value in found.items() if value is not None}
