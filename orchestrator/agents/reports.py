"""Reports: what agents observed, written into the tasks they run.

Reports are absolute, may repeat and may come late: what a task has already left behind is passed over. Room is
given back in the same transaction as the move that ends the task.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from scheduler.ending import end_task
from state.store import Session
from state.tasks import Task

ORDER = {"PENDING": 0, "PULLED": 0, "CREATED": 0, "RUNNING": 1, "RESOURCES_PROVISIONED": 1, "STOPPED": 2}
FAILURES_TO_START = (
    "CannotPullContainerError",
    "CannotCreateContainerError",
    "CannotStartContainerError",
    "ResourceInitializationError",
)
ESSENTIAL_EXITED = "Essential container in task exited"


def apply_task_report(session: Session, task: Task, report: Mapping[str, Any], *, now: datetime) -> None:
    """Write one SubmitTaskStateChange. ``report`` has its members; instants may be datetimes or epoch seconds."""
    if task.last_status in ("DEPROVISIONING", "STOPPED"):
        return
    for column, member in (("pull_started_at", "pullStartedAt"), ("pull_stopped_at", "pullStoppedAt")):
        if report.get(member) and getattr(task, column) is None:
            setattr(task, column, _instant(report[member]))
    merge_containers(task, report.get("containers") or ())
    match report.get("status"):
        case "RUNNING":
            _running(task, now)
        case "STOPPED":
            _stopped(session, task, report, now)
    _wake_owner(session, task)


def apply_container_report(session: Session, task: Task, report: Mapping[str, Any]) -> None:
    """Write one SubmitContainerStateChange."""
    if task.last_status not in ("DEPROVISIONING", "STOPPED"):
        merge_containers(task, [report])
        _wake_owner(session, task)


def merge_containers(task: Task, reports: Sequence[Mapping[str, Any]]) -> None:
    """Bring the task's containers up to what is reported; a container never moves back."""
    by_name = {report.get("containerName"): report for report in reports}
    task.containers = [_merged(container, by_name.get(container["name"])) for container in task.containers]


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
    _wake_owner(session, task)


def _running(task: Task, now: datetime) -> None:
    if task.last_status == "PENDING":
        task.started_at = now
        task.connectivity_at = task.connectivity_at or now
        task.attachments = [{**attachment, "status": "ATTACHED"} for attachment in task.attachments]
        task.advance("RUNNING", at=now, because="all essential containers run")


def _stopped(session: Session, task: Task, report: Mapping[str, Any], now: datetime) -> None:
    because = report.get("reason") or ESSENTIAL_EXITED
    if task.desired_status != "STOPPED":
        # Nobody asked for it: the task ended by itself, or never came to run.
        task.stop_code = "EssentialContainerExited" if _came_to_run(task) else "TaskFailedToStart"
        task.stopped_reason = because
    if report.get("executionStoppedAt"):
        task.execution_stopped_at = _instant(report["executionStoppedAt"])
    end_task(session, task, now=now, because=because)


def _came_to_run(task: Task) -> bool:
    """Whether the task ran, be it too briefly to be seen RUNNING. Engines give start failures exit codes too."""
    failed = any(container.get("reason", "").startswith(FAILURES_TO_START) for container in task.containers)
    exited = any("exitCode" in container for container in task.containers)
    return task.started_at is not None or (exited and not failed)


def _merged(container: dict[str, Any], report: Mapping[str, Any] | None) -> dict[str, Any]:
    if report is None or ORDER.get(report.get("status") or "", 0) < ORDER[container["lastStatus"]]:
        return container
    merged = dict(container)
    if ORDER.get(report.get("status") or "", 0) > ORDER[container["lastStatus"]]:
        merged["lastStatus"] = {1: "RUNNING", 2: "STOPPED"}[ORDER[report["status"]]]
    for member in ("runtimeId", "imageDigest", "reason", "networkBindings"):
        if report.get(member):
            merged[member] = report[member]
    if report.get("exitCode") is not None:
        merged["exitCode"] = report["exitCode"]
    return merged


def _wake_owner(session: Session, task: Task) -> None:
    if task.service_name:
        session.wake("services")
    if task.job_id:
        session.wake("jobs")


def _instant(value: datetime | float) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
