"""Schedule groups on the wire."""

from typing import Any

from kit.aws.errors import ValidationException
from kit.aws.paging import decode_token, encode_token, scope_of
from orchestrator.api.scheduler.errors import ConflictException
from orchestrator.api.scheduler.naming import find_group, group_arn
from orchestrator.api.scheduler.wire import scheduler
from orchestrator.call import Call
from state.firings import cancel_firings_of_group
from state.schedule_groups import DEFAULT_GROUP, ScheduleGroup, get_schedule_group, list_schedule_groups
from state.schedules import delete_schedules_of

MOST_LISTED = 100


@scheduler.operation("CreateScheduleGroup")
def create_schedule_group(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateScheduleGroup.html"""
    name = request["Name"]
    if get_schedule_group(call.session, name) is not None:
        raise ConflictException(f"Schedule group {name} already exists.")
    tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags") or []}
    call.session.add(ScheduleGroup(name=name, tags=tags, created_at=call.now, modified_at=call.now))
    return {"ScheduleGroupArn": group_arn(call.arns, name)}


@scheduler.operation("GetScheduleGroup")
def get_group(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_GetScheduleGroup.html"""
    return render_group(call, find_group(call, request["Name"]))


@scheduler.operation("ListScheduleGroups")
def list_groups(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_ListScheduleGroups.html"""
    prefix, limit = request.get("NamePrefix"), request.get("MaxResults") or MOST_LISTED
    scope = scope_of("ListScheduleGroups", prefix=prefix)
    token = request.get("NextToken")
    after = decode_token(token, scope=scope, error=ValidationException) if token else ""
    groups = list_schedule_groups(call.session, prefix=prefix, after=after, limit=limit + 1)
    answer: dict[str, Any] = {"ScheduleGroups": [render_group(call, group) for group in groups[:limit]]}
    if len(groups) > limit:
        answer["NextToken"] = encode_token(groups[limit - 1].name, scope=scope)
    return answer


@scheduler.operation("DeleteScheduleGroup")
def delete_schedule_group(call: Call, request: dict[str, Any]) -> None:
    """All schedules of the group go with it.

    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_DeleteScheduleGroup.html
    """
    name = request["Name"]
    if name == DEFAULT_GROUP:
        raise ValidationException("The default schedule group cannot be deleted.")
    group = find_group(call, name, hold="alone")
    cancel_firings_of_group(call.session, name, at=call.now)
    delete_schedules_of(call.session, name)
    call.session.delete(group)


def render_group(call: Call, group: ScheduleGroup) -> dict[str, Any]:
    return {
        "Arn": group_arn(call.arns, group.name),
        "Name": group.name,
        "State": "ACTIVE",
        "CreationDate": group.created_at,
        "LastModificationDate": group.modified_at,
    }
