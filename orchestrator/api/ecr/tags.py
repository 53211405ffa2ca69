"""Tags of resources (not of images): key and value pairs on a repository."""

from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.ids import resource_of
from orchestrator.api.ecr.errors import (
    InvalidTagParameterException,
    RepositoryNotFoundException,
    TooManyTagsException,
)
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from registry.names import is_name
from state.repositories import Repository, get_repository

_MOST = 50


@ecr.operation("ListTagsForResource")
def list_tags_for_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The repository's tags, in the order they were given."""
    return {"tags": _find(call, request["resourceArn"]).tags}


@ecr.operation("TagResource")
def tag_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Add tags; a key that is there gets the new value."""
    repository = _find(call, request["resourceArn"])
    given = checked_tags(request["tags"])
    keys = {tag["Key"] for tag in given}
    repository.tags = checked_tags([tag for tag in repository.tags if tag["Key"] not in keys] + given)
    return {}


@ecr.operation("UntagResource")
def untag_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Take tags away by key; a key that is not there is fine."""
    repository = _find(call, request["resourceArn"])
    gone = set(request["tagKeys"])
    repository.tags = [tag for tag in repository.tags if tag["Key"] not in gone]
    return {}


def checked_tags(tags: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tags themselves; raises InvalidTagParameterException and TooManyTagsException."""
    if len(tags) > _MOST:
        raise TooManyTagsException
    keys = [tag["Key"] for tag in tags]
    if len(set(keys)) != len(keys):
        raise InvalidTagParameterException("The same tag key is given more than once.")
    for tag in tags:
        if not 1 <= len(tag["Key"]) <= 128 or len(tag["Value"]) > 256:
            raise InvalidTagParameterException
        if tag["Key"].lower().startswith("aws:"):
            raise InvalidTagParameterException("Tag keys that begin with 'aws:' are reserved.")
    return tags


def _find(call: Call, arn: str) -> Repository:
    kind, _, name = resource_of(arn).partition("/")
    if kind != "repository" or not is_name(name) or arn != call.arns.of("ecr", f"repository/{name}"):
        raise InvalidParameterException(
            f"Invalid parameter at 'resourceArn' failed to satisfy constraint: '{arn[:200]}' is no repository here"
        )
    repository = get_repository(call.session, name)
    if repository is None:
        raise RepositoryNotFoundException(
            f"The repository with name '{name}' does not exist in the registry with id '{call.settings.account}'"
        )
    return repository
