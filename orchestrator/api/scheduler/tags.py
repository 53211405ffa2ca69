"""Tags of schedule groups: the only thing of EventBridge Scheduler's that carries any."""

from typing import Any

from kit.aws.errors import ValidationException
from kit.ids import last_part
from orchestrator.api.scheduler.errors import ResourceNotFoundException
from orchestrator.api.scheduler.naming import find_group, group_arn
from orchestrator.api.scheduler.wire import scheduler
from orchestrator.call import Call
from state.schedule_groups import DEFAULT_GROUP, ScheduleGroup, keep_default_group

MOST_TAGS = 200


@scheduler.operation("TagResource")
def tag_resource(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_TagResource.html"""
    group = _find_tagged(call, request["ResourceArn"], write=True)
    tags = {**group.tags, **{tag["Key"]: tag["Value"] for tag in request["Tags"]}}
    if len(tags) > MOST_TAGS:
        raise ValidationException(f"A schedule group can have at most {MOST_TAGS} tags.")
    group.tags, group.modified_at = tags, call.now


@scheduler.operation("UntagResource")
def untag_resource(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UntagResource.html"""
    group = _find_tagged(call, request["ResourceArn"], write=True)
    group.tags = {key: value for key, value in group.tags.items() if key not in request["TagKeys"]}
    group.modified_at = call.now


@scheduler.operation("ListTagsForResource")
def list_tags_for_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_ListTagsForResource.html"""
    group = _find_tagged(call, request["ResourceArn"])
    return {"Tags": [{"Key": key, "Value": value} for key, value in group.tags.items()]}


def _find_tagged(call: Call, arn: str, *, write: bool = False) -> ScheduleGroup:
    name = last_part(arn)
    if arn != group_arn(call.arns, name):
        raise ResourceNotFoundException(f"Resource {arn} does not exist.")
    if write and name == DEFAULT_GROUP:
        keep_default_group(call.session, now=call.now)
    return find_group(call, name, hold="alone" if write else None)
