"""Attempts: what a job's task tells about the attempt it is, in the words of DescribeJobs."""

from collections.abc import Mapping
from typing import Any

from kit.clock import epoch_millis
from kit.ids import Arns
from scheduler.jobs.task_definitions import CONTAINER, log_stream_name
from scheduler.queueing import Exit
from scheduler.wiring import interface_of
from state.jobs import Submission
from state.tasks import Task

ESSENTIAL_EXITED = "Essential container in task exited"


def container_detail(submission: Submission, task: Task, arns: Arns) -> dict[str, Any]:
    """An AttemptContainerDetail."""
    container = _container(task)
    members = {
        "containerInstanceArn": arns.container_instance(task.cluster, task.container_instance_id)
        if task.container_instance_id
        else None,
        "taskArn": arns.task(task.cluster, task.id),
        "exitCode": container.get("exitCode"),
        "reason": container.get("reason"),
        "logStreamName": log_stream_name(submission, task.id),
        "networkInterfaces": _interfaces(task),
    }
    return {name: value for name, value in members.items() if value is not None}


def attempt_detail(submission: Submission, task: Task, arns: Arns, *, status_reason: str) -> dict[str, Any]:
    """An AttemptDetail of a task that has stopped."""
    stopped_at = task.stopped_at or task.execution_stopped_at
    instants = {
        "startedAt": epoch_millis(task.started_at) if task.started_at else None,
        "stoppedAt": epoch_millis(stopped_at) if stopped_at else None,
    }
    return {
        "container": container_detail(submission, task, arns),
        **{name: value for name, value in instants.items() if value is not None},
        "statusReason": status_reason,
    }


def exit_of(task: Task) -> Exit:
    """How the task ended, as evaluateOnExit sees it."""
    container = _container(task)
    reason = task.stopped_reason or ESSENTIAL_EXITED
    return Exit(status_reason=reason, reason=container.get("reason"), exit_code=container.get("exitCode"))


def _container(task: Task) -> Mapping[str, Any]:
    return next((one for one in task.containers if one.get("name") == CONTAINER), {})


def _interfaces(task: Task) -> list[dict[str, Any]]:
    """The task's own interface, in ``awsvpc`` mode; else none."""
    interface = interface_of(task)
    if interface is None:
        return []
    named = {"attachmentId": "attachmentId", "privateIpv4Address": "privateIPv4Address"}
    return [{name: interface[detail] for name, detail in named.items() if interface.get(detail)}]
