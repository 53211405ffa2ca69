"""Task protection: tasks of services that scaling in and deployments leave alone until it expires.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateTaskProtection.html
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from kit.ids import last_part
from orchestrator.api.ecs.errors import InvalidParameterException
from orchestrator.api.ecs.lookup import find_cluster, resource_name, task_arn
from orchestrator.api.ecs.wire import ecs
from orchestrator.call import Call
from state.tasks import Task, hold_tasks, list_tasks

MOST_UPDATED, MOST_DESCRIBED = 10, 100
DEFAULT_MINUTES, MOST_MINUTES = 120, 2880


@ecs.operation("UpdateTaskProtection")
def update_task_protection(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Protect tasks of services for a while from now on, or no longer; what cannot be protected is a failure."""
    minutes = request.get("expiresInMinutes")
    if minutes is not None and not 1 <= minutes <= MOST_MINUTES:
        raise InvalidParameterException(f"expiresInMinutes must be between 1 and {MOST_MINUTES}.")
    found, failures = _find(call, request, most=MOST_UPDATED, hold=True)
    until = call.now + timedelta(minutes=minutes or DEFAULT_MINUTES) if request["protectionEnabled"] else None
    for task in found:
        task.protected_until = until
    if found and until is None:
        # What was kept back may go now.
        call.session.wake("services")
    return {"protectedTasks": [_render(call, task) for task in found], "failures": failures}


@ecs.operation("GetTaskProtection")
def get_task_protection(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The protection of up to a hundred tasks of services."""
    found, failures = _find(call, request, most=MOST_DESCRIBED, hold=False)
    return {"protectedTasks": [_render(call, task) for task in found], "failures": failures}


def _find(call: Call, request: dict[str, Any], *, most: int, hold: bool) -> tuple[list[Task], list[dict[str, Any]]]:
    cluster = find_cluster(call, request["cluster"])
    refs: Sequence[str] = request.get("tasks") or ()
    if not refs:
        raise InvalidParameterException("Tasks cannot be empty.")
    if len(refs) > most:
        raise InvalidParameterException(f"Tasks may be at most {most} in one call.")
    ids = {ref: last_part(resource_name(call, ref, "task") or "") for ref in dict.fromkeys(refs)}
    wanted = [task_id for task_id in ids.values() if task_id]
    if hold:
        hold_tasks(call.session, wanted)
    tasks = {task.id: task for task in list_tasks(call.session, wanted) if task.cluster == cluster.name}
    found = [tasks[task_id] for task_id in ids.values() if task_id in tasks and _is_protectable(tasks[task_id])]
    return found, list(_failures(call, cluster.name, ids, tasks))


def _failures(call: Call, cluster: str, ids: dict[str, str], tasks: dict[str, Task]) -> Iterator[dict[str, Any]]:
    for ref, task_id in ids.items():
        task = tasks.get(task_id)
        if task is None:
            arn = ref if ref.startswith("arn:") else call.arns.task(cluster, last_part(ref))
            yield {"arn": arn, "reason": "MISSING"}
        elif not _is_protectable(task):
            why = "it is being stopped" if task.service_name else "it belongs to no service"
            yield {"arn": task_arn(call, task), "reason": "TASK_NOT_VALID", "detail": f"The task is not valid: {why}."}


def _is_protectable(task: Task) -> bool:
    return task.service_name is not None and task.desired_status == "RUNNING"


def _render(call: Call, task: Task) -> dict[str, Any]:
    until = task.protected_until
    if until is None or until <= call.now:
        return {"taskArn": task_arn(call, task), "protectionEnabled": False}
    return {"taskArn": task_arn(call, task), "protectionEnabled": True, "expirationDate": until}
