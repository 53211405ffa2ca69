"""Schedules on the wire. A handler writes what is due next; the schedules loop does the rest."""

from datetime import UTC, datetime, timedelta
from typing import Any

from kit.aws.errors import AccessDeniedException, ValidationException
from kit.aws.paging import decode_token, encode_token, scope_of
from kit.ids import new_id
from orchestrator.api.scheduler.errors import ConflictException
from orchestrator.api.scheduler.naming import find_group, find_schedule, schedule_arn
from orchestrator.api.scheduler.targets import read_aim
from orchestrator.api.scheduler.wire import scheduler
from orchestrator.call import Call
from scheduler.cron import At, BadExpression, BadZone, parse, zone_of
from scheduler.loops.invocation import MOST_RETRIES, OLDEST, Invocation
from scheduler.loops.timing import due_after, first_due, timing_of
from state.firings import cancel_firings
from state.schedule_groups import DEFAULT_GROUP, keep_default_group
from state.schedules import Schedule, get_schedule, list_schedules

MOST_LISTED = 100
EARLIEST_START = timedelta(minutes=5)


@scheduler.operation("CreateSchedule")
def create_schedule(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html"""
    name, group = request["Name"], request.get("GroupName") or DEFAULT_GROUP
    if group == DEFAULT_GROUP:
        keep_default_group(call.session, now=call.now)
    find_group(call, group, hold="share")
    if get_schedule(call.session, group, name) is not None:
        raise ConflictException(f"Schedule {name} already exists.")
    schedule = Schedule(
        id=new_id(),
        group_name=group,
        name=name,
        arn=schedule_arn(call.arns, group, name),
        created_at=call.now,
        origin_at=call.now,
    )
    _write(call, schedule, request)
    schedule.next_due_at = _first_due(schedule) if schedule.state == "ENABLED" else None
    call.session.add(schedule)
    call.session.wake("schedules")
    return {"ScheduleArn": schedule.arn}


@scheduler.operation("UpdateSchedule")
def update_schedule(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """All of the schedule is replaced; what is left out takes its default. Progress is kept while the timing stays.

    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html
    """
    schedule = find_schedule(call, request.get("GroupName") or DEFAULT_GROUP, request["Name"], hold=True)
    before, state_before = _timing_text(schedule), schedule.state
    _write(call, schedule, request)
    if _timing_text(schedule) != before:
        schedule.origin_at = call.now
        schedule.next_due_at = _first_due(schedule)
    elif schedule.state != state_before:
        schedule.next_due_at = due_after(timing_of(schedule), call.now)
    if schedule.state != "ENABLED":
        schedule.next_due_at = None
    call.session.wake("schedules")
    return {"ScheduleArn": schedule.arn}


@scheduler.operation("GetSchedule")
def get_one_schedule(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_GetSchedule.html"""
    schedule = find_schedule(call, request.get("GroupName") or DEFAULT_GROUP, request["Name"])
    rendered = {
        **_render_heading(schedule),
        "ScheduleExpression": schedule.expression,
        "ScheduleExpressionTimezone": schedule.timezone,
        "Target": schedule.target,
        "ActionAfterCompletion": schedule.after_completion,
        **schedule.detail,
    }
    if schedule.start_at is not None:
        rendered["StartDate"] = schedule.start_at
    if schedule.end_at is not None:
        rendered["EndDate"] = schedule.end_at
    return rendered


@scheduler.operation("ListSchedules")
def list_all_schedules(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_ListSchedules.html"""
    group, prefix, state = (request.get(member) for member in ("GroupName", "NamePrefix", "State"))
    if group is not None:
        find_group(call, group)
    limit, token = request.get("MaxResults") or MOST_LISTED, request.get("NextToken")
    scope = scope_of("ListSchedules", group=group, prefix=prefix, state=state)
    after = decode_token(token, scope=scope, error=ValidationException) if token else ("", "")
    schedules = list_schedules(
        call.session, group=group, prefix=prefix, state=state, after=(after[0], after[1]), limit=limit + 1
    )
    answer: dict[str, Any] = {
        "Schedules": [
            {**_render_heading(schedule), "Target": {"Arn": schedule.target["Arn"]}} for schedule in schedules[:limit]
        ]
    }
    if len(schedules) > limit:
        last = schedules[limit - 1]
        answer["NextToken"] = encode_token([last.group_name, last.name], scope=scope)
    return answer


@scheduler.operation("DeleteSchedule")
def delete_schedule(call: Call, request: dict[str, Any]) -> None:
    """What was still to be tried for the schedule is given up.

    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_DeleteSchedule.html
    """
    schedule = find_schedule(call, request.get("GroupName") or DEFAULT_GROUP, request["Name"], hold=True)
    cancel_firings(call.session, schedule, at=call.now)
    call.session.delete(schedule)


def _write(call: Call, schedule: Schedule, request: dict[str, Any]) -> None:
    """Check a request and write what it says to the schedule, defaults filled in."""
    if request.get("KmsKeyArn"):
        raise ValidationException("Berth does not encrypt schedules with KMS keys; leave out KmsKeyArn.")
    expression, zone = request["ScheduleExpression"], request.get("ScheduleExpressionTimezone") or "UTC"
    try:
        parsed = parse(expression)
        zone_of(zone)
    except (BadExpression, BadZone) as error:
        raise ValidationException(str(error)) from error
    start, end = _utc(request.get("StartDate")), _utc(request.get("EndDate"))
    if not isinstance(parsed, At):
        _check_dates(call, schedule, start, end)
    window = _read_window(request["FlexibleTimeWindow"])
    target = _read_target(call, schedule, request["Target"])
    schedule.expression, schedule.timezone = expression, zone
    schedule.start_at, schedule.end_at = start, end
    schedule.state = request.get("State") or "ENABLED"
    schedule.target = target
    described = {"Description": request["Description"]} if request.get("Description") is not None else {}
    schedule.detail = {"FlexibleTimeWindow": window, **described}
    schedule.after_completion = request.get("ActionAfterCompletion") or "NONE"
    schedule.modified_at = call.now


def _check_dates(call: Call, schedule: Schedule, start: datetime | None, end: datetime | None) -> None:
    if start is not None and start != schedule.start_at and start < call.now - EARLIEST_START:
        raise ValidationException("The StartDate you specify cannot be earlier than 5 minutes ago.")
    if end is not None and end != schedule.end_at and end <= call.now:
        raise ValidationException("The EndDate you specify must be in the future.")
    if start is not None and end is not None and start >= end:
        raise ValidationException("The StartDate you specify must come before the EndDate.")


def _read_window(window: dict[str, Any]) -> dict[str, Any]:
    flexible, minutes = window["Mode"] == "FLEXIBLE", window.get("MaximumWindowInMinutes")
    if flexible and minutes is None:
        raise ValidationException("A FLEXIBLE time window needs MaximumWindowInMinutes.")
    if not flexible and minutes is not None:
        raise ValidationException("A time window that is OFF takes no MaximumWindowInMinutes.")
    return window


def _read_target(call: Call, schedule: Schedule, target: dict[str, Any]) -> dict[str, Any]:
    """The target with its defaults, once it is clear that it can be called and that the caller may call it."""
    retry = {"MaximumEventAgeInSeconds": int(OLDEST.total_seconds()), "MaximumRetryAttempts": MOST_RETRIES}
    filled = {**target, "RetryPolicy": {**retry, **(target.get("RetryPolicy") or {})}}
    rehearsal = Invocation(token=new_id(), schedule_arn=schedule.arn, scheduled_at=call.now, attempt=1, target=filled)
    action = read_aim(rehearsal).action
    if not call.caller.may(action):
        # Otherwise a schedule would be a way around the caller's own limits.
        raise AccessDeniedException(
            f"User: {call.caller.principal_arn} is not authorized to perform: {action} through a schedule"
        )
    return filled


def _first_due(schedule: Schedule) -> datetime | None:
    timing = timing_of(schedule)
    due = first_due(timing)
    if due is None and isinstance(timing.expression, At):
        raise ValidationException(f"The time of {schedule.expression} in {schedule.timezone} has passed.")
    return due


def _timing_text(schedule: Schedule) -> tuple[object, ...]:
    return (schedule.expression, schedule.timezone, schedule.start_at, schedule.end_at)


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC)


def _render_heading(schedule: Schedule) -> dict[str, Any]:
    return {
        "Arn": schedule.arn,
        "Name": schedule.name,
        "GroupName": schedule.group_name,
        "State": schedule.state,
        "CreationDate": schedule.created_at,
        "LastModificationDate": schedule.modified_at,
    }
