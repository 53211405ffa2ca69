"""Repositories over the ECR API: made before anything is pushed, described, and deleted."""

from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.aws.paging import encode_token, scope_of
from orchestrator.api.ecr.access import asker_of
from orchestrator.api.ecr.errors import (
    KmsException,
    RepositoryAlreadyExistsException,
    RepositoryNotEmptyException,
)
from orchestrator.api.ecr.finding import check_registry, find_named_repository, page_start
from orchestrator.api.ecr.tags import checked_tags
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from registry.names import is_name
from registry.policies import list_allowed
from state.images import has_images
from state.repositories import (
    Repository,
    delete_repository,
    get_repository,
    list_named_repositories,
    lock_repository,
)

_PAGE = 100


@ecr.operation("CreateRepository")
def create_repository(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """An empty repository. Its name is for good."""
    name, account = request["repositoryName"], call.settings.account
    check_registry(call, request)
    mutability = request.get("imageTagMutability") or "MUTABLE"
    filters = checked_filters(mutability, request.get("imageTagMutabilityExclusionFilters") or [])
    encryption = request.get("encryptionConfiguration") or {"encryptionType": "AES256"}
    if encryption["encryptionType"] != "AES256" or encryption.get("kmsKey"):
        raise KmsException
    if not is_name(name):
        raise InvalidParameterException("Invalid parameter at 'repositoryName' failed to satisfy constraint: 'name'")
    if get_repository(call.session, name) is not None:
        raise RepositoryAlreadyExistsException(
            f"The repository with name '{name}' already exists in the registry with id '{account}'"
        )
    repository = Repository(
        name=name,
        tag_mutability=mutability,
        mutability_filters=filters,
        scanning={"scanOnPush": bool((request.get("imageScanningConfiguration") or {}).get("scanOnPush"))},
        encryption=encryption,
        tags=checked_tags(request.get("tags") or []),
        created_at=call.now,
    )
    call.session.add(repository)
    return {"repository": render_repository(call, repository)}


@ecr.operation("DescribeRepositories")
def describe_repositories(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The repositories named, or all of them by name, a page at a time."""
    names, token = request.get("repositoryNames"), request.get("nextToken")
    if names:
        if token or request.get("maxResults"):
            raise InvalidParameterException(
                "Invalid parameter: nextToken and maxResults cannot be given together with repositoryNames"
            )
        # Each name once, in the order asked for.
        found = [find_named_repository(call, {**request, "repositoryName": name}) for name in dict.fromkeys(names)]
        return {"repositories": [render_repository(call, repository) for repository in found]}
    scope, limit = scope_of("DescribeRepositories"), request.get("maxResults") or _PAGE
    if (request.get("registryId") or call.settings.account) != call.settings.account:
        return {"repositories": []}
    names = list_allowed(
        call.session,
        asker_of(call),
        "ecr:DescribeRepositories",
        arns=call.arns,
        now=call.now,
        after=page_start(token, scope),
        limit=limit + 1,
    )
    page = list_named_repositories(call.session, names[:limit])
    answer: dict[str, Any] = {"repositories": [render_repository(call, each) for each in page]}
    if len(names) > limit:
        answer["nextToken"] = encode_token(names[limit - 1], scope=scope)
    return answer


@ecr.operation("DeleteRepository")
def delete_named_repository(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Take the repository away; with images in it only by ``force``. Bytes are left to the collector."""
    lock_repository(call.session, request["repositoryName"])
    repository = find_named_repository(call, request)
    if not request.get("force") and has_images(call.session, repository.name):
        raise RepositoryNotEmptyException(
            f"The repository with name '{repository.name}' in registry with id '{call.settings.account}' "
            "cannot be deleted because it still contains images"
        )
    delete_repository(call.session, repository.name)
    return {"repository": render_repository(call, repository)}


@ecr.operation("PutImageTagMutability")
def put_image_tag_mutability(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Say whether a tag may move to another image. Tags that exist stay as they are."""
    repository = find_named_repository(call, request)
    mutability = request["imageTagMutability"]
    repository.mutability_filters = checked_filters(mutability, request.get("imageTagMutabilityExclusionFilters") or [])
    repository.tag_mutability = mutability
    answer = {
        "registryId": call.settings.account,
        "repositoryName": repository.name,
        "imageTagMutability": mutability,
    }
    return {**answer, **_filters(repository)}


def checked_filters(mutability: str, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The filters themselves; raises InvalidParameterException where they do not go with the mutability."""
    if mutability.endswith("_WITH_EXCLUSION") != bool(filters):
        raise InvalidParameterException(
            "imageTagMutabilityExclusionFilters go with IMMUTABLE_WITH_EXCLUSION and MUTABLE_WITH_EXCLUSION, "
            "which need them"
        )
    for each in filters:
        if each["filter"].count("*") > 2:
            raise InvalidParameterException(f"The filter '{each['filter']}' has more than two wildcards")
    return filters


def render_repository(call: Call, repository: Repository) -> dict[str, Any]:
    return {
        "repositoryArn": call.arns.of("ecr", f"repository/{repository.name}"),
        "registryId": call.settings.account,
        "repositoryName": repository.name,
        "repositoryUri": f"{call.settings.registry}/{repository.name}",
        "createdAt": repository.created_at,
        "imageTagMutability": repository.tag_mutability,
        "imageScanningConfiguration": repository.scanning,
        "encryptionConfiguration": repository.encryption,
        **_filters(repository),
    }


def _filters(repository: Repository) -> dict[str, Any]:
    found = repository.mutability_filters
    return {"imageTagMutabilityExclusionFilters": found} if found else {}
