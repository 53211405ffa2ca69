"""The rules of reports: what becomes of a task by what its agent has observed. Pure, but for ``apply_health``.

Reports are absolute, may repeat and may come late: what a task has already left behind is passed over.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from kit.ids import last_part
from scheduler.ending import OVER, ended
from scheduler.wiring import TOLD_BY_AGENTS, move_attachments
from state.observed_tasks import Change, Move, ObservedTask
from state.store import Session
from state.tasks import Task

ORDER = {"PENDING": 0, "PULLED": 0, "CREATED": 0, "RUNNING": 1, "RESOURCES_PROVISIONED": 1, "STOPPED": 2}
FAILURES_TO_START = (
    "CannotPullContainerError",
    "CannotCreateContainerError",
    "CannotStartContainerError",
    "ResourceInitializationError",
)
TOLD = ("runtimeId", "imageDigest", "reason", "networkBindings")
ESSENTIAL_EXITED = "Essential container in task exited"
ALL_RUN = "all essential containers run"
NOTHING = Change({}, ())
# A copy that ran on for less is not worth a word: clocks differ.
NOTED = timedelta(seconds=1)


class BadAttachment(Exception):
    """A report tells of an attachment that the task has not, or what can't be told of one."""


def merge_report(task: ObservedTask, report: Mapping[str, Any], *, now: datetime) -> Change:
    """What a report changes of its task; NOTHING when it is late or says what is known. Raises BadAttachment.

    ``report`` has the members of SubmitTaskStateChange; instants may be datetimes or epoch seconds.
    """
    attachments = merge_attachments(task.attachments, report.get("attachments") or ())
    if task.last_status in OVER:
        return _ran_on(task, report, now)
    values: dict[str, Any] = {}
    if task.pull_started_at is None and report.get("pullStartedAt"):
        values["pull_started_at"] = _instant(report["pullStartedAt"])
    if task.pull_stopped_at is None and report.get("pullStoppedAt"):
        values["pull_stopped_at"] = _instant(report["pullStoppedAt"])
    containers = merge_containers(task.containers, report.get("containers") or ())
    if containers is not task.containers:
        values["containers"] = containers
    if values and task.last_status == "PENDING":
        # The agent is at work on it, and the interface comes before the containers.
        attachments = move_attachments(attachments, "ATTACHING")
    if attachments is not task.attachments:
        values["attachments"] = attachments
    match report.get("status"):
        case "RUNNING" if task.last_status == "PENDING":
            return Change({**values, **_running(task, attachments, now)}, (Move("PENDING", "RUNNING", ALL_RUN),))
        case "STOPPED":
            return _stopped(task, values, report, now)
    return Change(values, ()) if values else NOTHING


def merge_containers(containers: list[dict[str, Any]], reports: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The containers brought up to what is reported, or the very same list; a container never moves back."""
    merged = containers
    for report in reports:
        name = report.get("containerName")
        for place, container in enumerate(merged):
            if container["name"] == name and (news := _news(container, report)):
                merged = [*merged[:place], {**container, **news}, *merged[place + 1 :]]
    return merged


def merge_attachments(attachments: list[dict[str, Any]], reports: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The attachments brought up to what is reported, or the very same list; one never moves back. Raises
    BadAttachment."""
    known = {attachment["id"] for attachment in attachments}
    for report in reports:
        attachment, status = last_part(str(report.get("attachmentArn") or "")), report.get("status")
        if status not in TOLD_BY_AGENTS:
            raise BadAttachment(f"The attachment status {status!r} is none of {', '.join(TOLD_BY_AGENTS)}.")
        if attachment not in known:
            raise BadAttachment("The referenced attachment was not found.")
        attachments = move_attachments(attachments, status, only=attachment)
    return attachments


def apply_health(session: Session, task: Task, health: Mapping[str, str]) -> None:
    """Write container health results (by container name) and the task's own, which follows from them."""
    containers = [
        {**container, "healthStatus": health.get(container["name"], container["healthStatus"])}
        for container in task.containers
    ]
    if containers == task.containers:
        return
    task.containers = containers
    seen = {container["healthStatus"] for container in containers if container["name"] in health}
    task.health_status = next((status for status in ("UNHEALTHY", "UNKNOWN", "HEALTHY") if status in seen), "UNKNOWN")
    session.wake(*owners(task))


def owners(task: Task | ObservedTask) -> tuple[str, ...]:
    """The loops that want to know of what becomes of the task."""
    return tuple(name for name, owned in (("services", task.service_name), ("jobs", task.job_id)) if owned)


def _running(task: ObservedTask, attachments: list[dict[str, Any]], now: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {"last_status": "RUNNING", "started_at": now}
    if task.connectivity_at is None:
        values["connectivity_at"] = now
    if attachments:
        values["attachments"] = move_attachments(attachments, "ATTACHED")
    return values


def _stopped(task: ObservedTask, values: dict[str, Any], report: Mapping[str, Any], now: datetime) -> Change:
    because = report.get("reason") or ESSENTIAL_EXITED
    if report.get("executionStoppedAt"):
        values["execution_stopped_at"] = _instant(report["executionStoppedAt"])
    containers = values.get("containers", task.containers)
    if task.desired_status != "STOPPED":
        # Nobody asked for it: the task ended by itself, or never came to run.
        values["stop_code"] = (
            "EssentialContainerExited" if _came_to_run(task.started_at, containers) else "TaskFailedToStart"
        )
        values["stopped_reason"] = because
    values |= ended(task.after(values), now=now, because=because)
    return Change(values, (Move(task.last_status, values["last_status"], because),))


def _ran_on(task: ObservedTask, report: Mapping[str, Any], now: datetime) -> Change:
    """A host that was taken for lost is back, and its copy of the task has ended only now, and not in times to come."""
    said = report.get("executionStoppedAt")
    if report.get("status") != "STOPPED" or not said or task.execution_stopped_at is None:
        return NOTHING
    at = min(_instant(said), now)
    return Change({"execution_stopped_at": at}, ()) if at - task.execution_stopped_at >= NOTED else NOTHING


def _came_to_run(started_at: datetime | None, containers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the task ran, be it too briefly to be seen RUNNING. Engines give start failures exit codes too."""
    failed = any(container.get("reason", "").startswith(FAILURES_TO_START) for container in containers)
    exited = any("exitCode" in container for container in containers)
    return started_at is not None or (exited and not failed)


def _news(container: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """What a report says of a container that is not known yet."""
    stands, reported = ORDER[container["lastStatus"]], ORDER.get(report.get("status") or "", 0)
    if reported < stands:
        return {}
    news: dict[str, Any] = {}
    for member in TOLD:
        said = report.get(member)
        if said and said != container.get(member):
            news[member] = said
    if reported > stands:
        news["lastStatus"] = "RUNNING" if reported == 1 else "STOPPED"
    exit_code = report.get("exitCode")
    if exit_code is not None and exit_code != container.get("exitCode"):
        news["exitCode"] = exit_code
    return news


def _instant(value: datetime | float) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
