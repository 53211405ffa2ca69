"""Task protection from inside the task: asked of the control plane with the task's role, told as the ECS agent does."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from agent.control.aws import ApiError, Calls, Unreachable
from agent.endpoints.server import Answer, Request
from agent.tasks.spec import TaskSpec

MEMBERS = {"protectionenabled": "ProtectionEnabled", "expiresinminutes": "ExpiresInMinutes"}


class _Malformed(Exception):
    """The request's body is not what it should be; the text says why."""


def answer_protection(request: Request, task: TaskSpec, aws: Calls) -> Answer:
    """GET tells the task's protection, PUT changes it."""
    wanted: Mapping[str, Any] = {}
    if request.method == "PUT":
        try:
            wanted = _read(request.body)
        except _Malformed as error:
            return _error(400, "InvalidParameterException", str(error))
        if wanted.get("ProtectionEnabled") is None:
            missing = "Invalid request: does not contain 'ProtectionEnabled' field"
            return _error(400, "InvalidParameterException", missing, task.arn)
    if task.role is None:
        nobody = "Invalid Request: no task IAM role credentials available for task"
        return _error(403, "AccessDeniedException", nobody, task.arn)
    asked: dict[str, Any] = {"cluster": task.cluster, "tasks": [task.arn]}
    operation = "GetTaskProtection"
    if request.method == "PUT":
        operation = "UpdateTaskProtection"
        asked["protectionEnabled"] = wanted["ProtectionEnabled"]
        if wanted.get("ExpiresInMinutes") is not None:
            asked["expiresInMinutes"] = wanted["ExpiresInMinutes"]
    try:
        told = aws.call("ecs", operation, asked, keys=task.role.keys)
    except ApiError as error:
        return _error(error.status, error.code, error.message, task.arn)
    except Unreachable:
        return _error(504, "RequestCanceled", "Timed out calling ECS Task Protection API", task.arn)
    for failure in told.get("failures") or ():
        return Answer(
            200,
            {
                "failure": {
                    "Arn": failure.get("arn"),
                    "Detail": failure.get("detail"),
                    "Reason": failure.get("reason"),
                }
            },
        )
    for protected in told.get("protectedTasks") or ():
        return Answer(
            200,
            {
                "protection": {
                    "ExpirationDate": _instant(protected.get("expirationDate")),
                    "ProtectionEnabled": protected.get("protectionEnabled"),
                    "TaskArn": protected.get("taskArn"),
                }
            },
        )
    return _error(500, "ServerException", "Unexpected error occurred", task.arn)


def _read(body: bytes) -> Mapping[str, Any]:
    failed = "UpdateTaskProtection: failed to decode request"
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _Malformed(failed) from None
    if not isinstance(document, dict):
        raise _Malformed(failed)
    wanted: dict[str, Any] = {}
    for name, value in document.items():
        member = MEMBERS.get(name.lower())
        kind = bool if member == "ProtectionEnabled" else int
        # A truth value is a number here, but not in JSON.
        if member is None or (value is not None and type(value) is not kind):
            raise _Malformed(failed)
        wanted[member] = value
    return wanted


def _error(status: int, code: str, message: str, arn: str = "") -> Answer:
    error = {"Arn": arn, "Code": code, "Message": message} if arn else {"Code": code, "Message": message}
    return Answer(status, {"error": error})


def _instant(seconds: Any) -> str | None:
    if not isinstance(seconds, int | float):
        return None
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
