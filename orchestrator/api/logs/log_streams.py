"""Log streams on the wire: create, delete, describe by name or by the time of their last event."""

from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.aws.paging import decode_token, encode_token, scope_of
from kit.clock import epoch_millis
from orchestrator.api.logs.errors import LogStreamExists
from orchestrator.api.logs.naming import check_text, find_asked_group, find_group, find_stream, stream_arn
from orchestrator.api.logs.wire import logs
from orchestrator.call import Call
from state.log_groups import LogGroup
from state.log_streams import (
    LogStream,
    discard_log_stream,
    get_log_stream,
    list_log_streams_by_name,
    list_log_streams_by_time,
)

PAGE = 50


@logs.operation("CreateLogStream")
def create_log_stream(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogStream.html"""
    name = check_text("logStreamName", request["logStreamName"])
    group = find_group(call, request["logGroupName"], hold="share")
    if get_log_stream(call.session, group, name) is not None:
        raise LogStreamExists
    call.session.add(LogStream(group_id=group.id, name=name, created_at=call.now))


@logs.operation("DeleteLogStream")
def delete_log_stream(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteLogStream.html"""
    group = find_group(call, request["logGroupName"], hold="share")
    discard_log_stream(call.session, find_stream(call, group, request["logStreamName"], hold=True))


@logs.operation("DescribeLogStreams")
def describe_log_streams(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogStreams.html"""
    group = find_asked_group(call, request)
    by_time = request.get("orderBy") == "LastEventTime"
    prefix = request.get("logStreamNamePrefix")
    descending = bool(request.get("descending"))
    if by_time and prefix:
        raise InvalidParameterException("Cannot order by LastEventTime with a logStreamNamePrefix.")
    if prefix:
        check_text("logStreamNamePrefix", prefix)
    limit = request.get("limit") or PAGE
    token = request.get("nextToken")
    scope = scope_of("DescribeLogStreams", group=group.id, by_time=by_time, prefix=prefix, descending=descending)
    place = decode_token(token, scope=scope) if token else None
    if by_time:
        streams = list_log_streams_by_time(
            call.session,
            group,
            after=(place[0], place[1]) if place else None,
            descending=descending,
            limit=limit + 1,
        )
    else:
        streams = list_log_streams_by_name(
            call.session,
            group,
            prefix=prefix,
            after=place[1] if place else None,
            descending=descending,
            limit=limit + 1,
        )
    page = streams[:limit]
    answer: dict[str, Any] = {"logStreams": [render_log_stream(call, group, stream) for stream in page]}
    if len(streams) > limit:
        answer["nextToken"] = encode_token([page[-1].last_event_at, page[-1].name], scope=scope)
    return answer


def render_log_stream(call: Call, group: LogGroup, stream: LogStream) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "logStreamName": stream.name,
        "creationTime": epoch_millis(stream.created_at),
        "uploadSequenceToken": sequence_token(stream),
        "arn": stream_arn(call.arns, group.name, stream.name),
        # CloudWatch Logs counts bytes for groups only and has answered 0 here since 2019.
        "storedBytes": 0,
    }
    if stream.first_event_at is not None:
        rendered["firstEventTimestamp"] = stream.first_event_at
    if stream.last_ingested_at is not None:
        rendered["lastEventTimestamp"] = stream.last_event_at
        rendered["lastIngestionTime"] = stream.last_ingested_at
    return rendered


def sequence_token(stream: LogStream) -> str:
    """Answered because old clients send it back; ignored, as CloudWatch Logs does."""
    return f"{stream.batches:056d}"
