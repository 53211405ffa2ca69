"""Storage classes over the ECR API: images put into the archive and taken out of it."""

from typing import Any

from orchestrator.api.ecr.errors import ImageNotFoundException, ImageStorageClassUpdateNotSupportedException
from orchestrator.api.ecr.finding import Missed, find_named_repository, look_up
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from registry.lifecycle.carry_out import activate, archive
from registry.uses import images_in_use
from state.images import get_image, lists_that_need
from state.repositories import lock_repository


@ecr.operation("UpdateImageStorageClass")
def update_image_storage_class(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Archive an image, which then cannot be pulled, or make an archived one active again, which it is at once."""
    lock_repository(call.session, request["repositoryName"])
    repository, image_id = find_named_repository(call, request), request["imageId"]
    image = look_up(call, repository.name, image_id)
    if isinstance(image, Missed):
        raise ImageNotFoundException(image.reason)
    wanted = "ARCHIVED" if request["targetStorageClass"] == "ARCHIVE" else "ACTIVE"
    if image.status == wanted:
        raise ImageStorageClassUpdateNotSupportedException(
            f"The image is in the storage class {request['targetStorageClass']} already."
        )
    if wanted == "ACTIVE":
        activate(image, now=call.now)
    else:
        lists = [
            get_image(call.session, repository.name, each)
            for each in lists_that_need(call.session, repository.name, image.digest)
        ]
        if any(each is not None and each.status == "ACTIVE" for each in lists):
            raise ImageStorageClassUpdateNotSupportedException(
                "The image is part of a manifest list that is active; archive the list first."
            )
        if image.digest in images_in_use(call.session, call.settings).get(repository.name, ()):
            raise ImageStorageClassUpdateNotSupportedException(
                "The image is in use: a task, service or job refers to it, and could not pull it from the archive."
            )
        archive(image, now=call.now)
    return {
        "registryId": call.settings.account,
        "repositoryName": repository.name,
        "imageId": {"imageDigest": image.digest, **image_id},
        "imageStatus": image.status,
    }
