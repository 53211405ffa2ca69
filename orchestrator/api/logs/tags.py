"""Tags of log groups, by ARN and by the older calls that name the group."""

from typing import Any

from kit.aws.errors import InvalidParameterException
from orchestrator.api.logs.errors import TooManyTagsException
from orchestrator.api.logs.naming import find_group, group_name_of
from orchestrator.api.logs.wire import logs
from orchestrator.call import Call
from state.log_groups import LogGroup

MOST_TAGS = 50


@logs.operation("TagResource")
def tag_resource(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TagResource.html"""
    group = _find_by_arn(call, request["resourceArn"], hold="alone")
    if len({*group.tags, *request["tags"]}) > MOST_TAGS:
        raise TooManyTagsException
    group.tags = {**group.tags, **request["tags"]}


@logs.operation("UntagResource")
def untag_resource(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_UntagResource.html"""
    _untag(_find_by_arn(call, request["resourceArn"], hold="alone"), request["tagKeys"])


@logs.operation("ListTagsForResource")
def list_tags_for_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_ListTagsForResource.html"""
    return {"tags": dict(_find_by_arn(call, request["resourceArn"]).tags)}


@logs.operation("TagLogGroup")
def tag_log_group(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TagLogGroup.html"""
    group = find_group(call, request["logGroupName"], hold="alone")
    if len({*group.tags, *request["tags"]}) > MOST_TAGS:
        # This older call declares no error for too many tags.
        raise InvalidParameterException(f"A log group can have at most {MOST_TAGS} tags.")
    group.tags = {**group.tags, **request["tags"]}


@logs.operation("UntagLogGroup")
def untag_log_group(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_UntagLogGroup.html"""
    _untag(find_group(call, request["logGroupName"], hold="alone"), request["tags"])


@logs.operation("ListTagsLogGroup")
def list_tags_log_group(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_ListTagsLogGroup.html"""
    return {"tags": dict(find_group(call, request["logGroupName"]).tags)}


def _find_by_arn(call: Call, arn: str, *, hold: str | None = None) -> LogGroup:
    if not arn.startswith(call.arns.of("logs", "log-group:")):
        raise InvalidParameterException(f"'{arn}' is not the ARN of a log group of this account and region.")
    return find_group(call, group_name_of(arn), hold=hold)


def _untag(group: LogGroup, keys: list[str]) -> None:
    group.tags = {key: value for key, value in group.tags.items() if key not in keys}
