"""Tags of parameters."""

from collections.abc import Sequence
from typing import Any

from kit.aws.errors import ValidationException
from orchestrator.api.ssm.errors import (
    InvalidResourceId,
    InvalidResourceType,
    ParameterNotFound,
    TooManyTagsError,
)
from orchestrator.api.ssm.naming import find_parameter
from orchestrator.api.ssm.wire import ssm
from orchestrator.call import Call
from state.parameters import Parameter

MOST_TAGS = 50


@ssm.operation("AddTagsToResource")
def add_tags_to_resource(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_AddTagsToResource.html"""
    parameter = _find(call, request, hold=True)
    tags = merged_tags(parameter.tags, request["Tags"])
    if len(tags) > MOST_TAGS:
        raise TooManyTagsError
    parameter.tags = tags


@ssm.operation("RemoveTagsFromResource")
def remove_tags_from_resource(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_RemoveTagsFromResource.html"""
    parameter = _find(call, request, hold=True)
    parameter.tags = [tag for tag in parameter.tags if tag["Key"] not in request["TagKeys"]]


@ssm.operation("ListTagsForResource")
def list_tags_for_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ListTagsForResource.html"""
    return {"TagList": _find(call, request).tags}


def merged_tags(kept: Sequence[dict[str, Any]], given: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The kept tags and those given, which go before them."""
    tags = {tag["Key"]: tag["Value"] for tag in [*kept, *given]}
    if any(tag["Key"].lower().startswith("aws:") for tag in given):
        raise ValidationException("Tag keys that begin with aws: are reserved for AWS.")
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _find(call: Call, request: dict[str, Any], *, hold: bool = False) -> Parameter:
    if request["ResourceType"] != "Parameter":
        raise InvalidResourceType
    try:
        return find_parameter(call, request["ResourceId"], hold=hold)
    except ParameterNotFound:
        raise InvalidResourceId from None
