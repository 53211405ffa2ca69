"""Log groups on the wire: create, delete, describe, and how long their events are kept."""

from typing import Any

from kit.aws.errors import InvalidParameterException, ValidationException
from kit.aws.paging import decode_token, encode_token, scope_of
from kit.clock import epoch_millis
from orchestrator.api.logs.errors import LogGroupExists
from orchestrator.api.logs.naming import find_group, group_arn, group_name_of
from orchestrator.api.logs.wire import logs
from orchestrator.call import Call
from state.log_groups import LogGroup, get_log_group, list_log_groups
from state.log_streams import discard_log_group, stored_bytes_of

RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
CLASSES = ("STANDARD", "INFREQUENT_ACCESS")
PAGE = 50


@logs.operation("CreateLogGroup")
def create_log_group(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html"""
    name = request["logGroupName"]
    if name.startswith("aws/"):
        raise InvalidParameterException("Log groups starting with 'aws/' are reserved for AWS.")
    if request.get("kmsKeyId"):
        raise InvalidParameterException("Berth does not encrypt log groups with KMS keys; leave out kmsKeyId.")
    log_class = request.get("logGroupClass") or "STANDARD"
    if log_class not in CLASSES:
        raise InvalidParameterException(f"Berth keeps log groups of class {' or '.join(CLASSES)}, not {log_class}.")
    if get_log_group(call.session, name) is not None:
        raise LogGroupExists
    call.session.add(
        LogGroup(
            name=name,
            log_class=log_class,
            deletion_protection=bool(request.get("deletionProtectionEnabled")),
            tags=dict(request.get("tags") or {}),
            created_at=call.now,
        )
    )


@logs.operation("DeleteLogGroup")
def delete_log_group(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteLogGroup.html"""
    group = find_group(call, request["logGroupName"], hold="alone")
    if group.deletion_protection:
        raise ValidationException("The log group is protected from deletion.")
    discard_log_group(call.session, group)


@logs.operation("DescribeLogGroups")
def describe_log_groups(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html"""
    prefix, pattern = request.get("logGroupNamePrefix"), request.get("logGroupNamePattern")
    identifiers = request.get("logGroupIdentifiers")
    if prefix and pattern:
        raise InvalidParameterException("logGroupNamePrefix and logGroupNamePattern are mutually exclusive parameters.")
    if identifiers and (prefix or pattern):
        raise InvalidParameterException("logGroupIdentifiers cannot be combined with a prefix or a pattern.")
    log_class, token = request.get("logGroupClass"), request.get("nextToken")
    scope = scope_of("DescribeLogGroups", prefix=prefix, pattern=pattern, names=identifiers, log_class=log_class)
    limit = request.get("limit") or PAGE
    groups = list_log_groups(
        call.session,
        prefix=prefix,
        pattern=pattern,
        names=[group_name_of(identifier) for identifier in identifiers] if identifiers else None,
        log_class=log_class,
        after=decode_token(token, scope=scope) if token else "",
        limit=limit + 1,
    )
    page = groups[:limit]
    stored = stored_bytes_of(call.session, [group.id for group in page])
    answer: dict[str, Any] = {"logGroups": [render_log_group(call, group, stored.get(group.id, 0)) for group in page]}
    if len(groups) > limit:
        answer["nextToken"] = encode_token(page[-1].name, scope=scope)
    return answer


@logs.operation("PutRetentionPolicy")
def put_retention_policy(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""
    days = request["retentionInDays"]
    if days not in RETENTIONS:
        raise InvalidParameterException(
            f"retentionInDays must be one of {', '.join(map(str, RETENTIONS))}; {days} is not."
        )
    find_group(call, request["logGroupName"], hold="alone").retention_days = days


@logs.operation("DeleteRetentionPolicy")
def delete_retention_policy(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteRetentionPolicy.html"""
    find_group(call, request["logGroupName"], hold="alone").retention_days = None


def render_log_group(call: Call, group: LogGroup, stored_bytes: int) -> dict[str, Any]:
    arn = group_arn(call.arns, group.name)
    rendered: dict[str, Any] = {
        "logGroupName": group.name,
        "creationTime": epoch_millis(group.created_at),
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "storedBytes": stored_bytes,
        "logGroupClass": group.log_class,
        "logGroupArn": arn,
        "deletionProtectionEnabled": group.deletion_protection,
    }
    if group.retention_days is not None:
        rendered["retentionInDays"] = group.retention_days
    return rendered
