"""The API of tasks: run, start, stop, describe, list. Handlers write intent; loops and agents carry it out."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from kit.aws.paging import scope_of
from kit.ids import last_part
from orchestrator.api.ecs.errors import InvalidParameterException, NoContainerInstances
from orchestrator.api.ecs.lookup import (
    container_instance_arn,
    find_cluster,
    find_cluster_name,
    find_service,
    resource_name,
)
from orchestrator.api.ecs.pages import page
from orchestrator.api.ecs.task_rules import read_launch, read_launches
from orchestrator.api.ecs.task_view import render_task
from orchestrator.api.ecs.wire import ecs
from orchestrator.call import Call
from scheduler.ending import stop_tasks
from scheduler.launch import Launch, launch_on, launch_tasks
from scheduler.placement import Refused
from state.container_instances import get_container_instance
from state.tasks import Task, get_task
from state.tasks import list_tasks as get_tasks

MOST_TASKS_PER_CALL = 10
MOST_DESCRIBED = 100


@ecs.operation("RunTask")
def run_task(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Launch up to ten tasks wherever there is room; what finds none is a failure, not an error."""
    count = request.get("count", 1)
    if not 1 <= count <= MOST_TASKS_PER_CALL:
        raise InvalidParameterException("Count should be between 1 and 10 (inclusive)")
    ids: list[str] = []
    failures: list[dict[str, Any]] = []
    for launch, share in read_launches(call, request, count):
        launched = launch_tasks(
            call.session, launch, share, now=call.now, seed=call.seed, settings=call.settings, fleets=call.fleets
        )
        ids += launched.ids
        if launched.refused is None:
            continue
        if not launched.refused.failures():
            # A cluster without a single host is the caller's mistake, as in ECS; a full one is a failure.
            raise NoContainerInstances
        failures += [*_failures(call, launch, launched.refused)] * launched.missing
    return {"tasks": [render_task(call, task) for task in get_tasks(call.session, ids)], "failures": failures}


@ecs.operation("StartTask")
def start_task(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Launch one task on each of the named container instances."""
    refs = request["containerInstances"]
    if not 1 <= len(refs) <= MOST_TASKS_PER_CALL:
        raise InvalidParameterException("Container instances should be between 1 and 10 (inclusive)")
    launch = read_launch(call, {**request, "launchType": "EC2"}, find_cluster(call, request.get("cluster")))
    hosts: list[str] = []
    failures: list[dict[str, Any]] = []
    for ref in refs:
        instance = get_container_instance(call.session, last_part(ref))
        if instance is None or instance.cluster != launch.cluster or not instance.shared:
            failures.append({"arn": ref, "reason": "MISSING"})
            continue
        if instance.status not in ("ACTIVE", "DRAINING"):
            failures.append({"arn": ref, "reason": "INACTIVE"})
            continue
        hosts.append(instance.id)
    ids, refusals = launch_on(call.session, launch, hosts, now=call.now, settings=call.settings, fleets=call.fleets)
    failures += [failure for refused in refusals for failure in _failures(call, launch, refused)]
    return {"tasks": [render_task(call, task) for task in get_tasks(call.session, ids)], "failures": failures}


@ecs.operation("StopTask")
def stop_task(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Ask a task to stop. A task that has stopped is answered as it is."""
    task = find_task(call, request.get("cluster"), request["task"])
    reason = request.get("reason") or "Task stopped by user"
    stop_tasks(call.session, [task], now=call.now, code="UserInitiated", because=reason)
    call.session.flush()
    return {"task": render_task(call, task)}


@ecs.operation("DescribeTasks")
def describe_tasks(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Up to a hundred tasks by id or ARN; unknown ones are failures with reason MISSING."""
    cluster = find_cluster_name(call, request.get("cluster"))
    refs = request["tasks"]
    if not refs:
        raise InvalidParameterException("Tasks cannot be empty.")
    if len(refs) > MOST_DESCRIBED:
        raise InvalidParameterException(f"You can describe at most {MOST_DESCRIBED} tasks in one call.")
    ids = {ref: _task_id(call, cluster, ref) for ref in refs}
    found = {
        task.id: task
        for task in call.session.scalars(
            select(Task).where(Task.cluster == cluster, Task.id.in_([i for i in ids.values() if i]))
        )
    }
    tags = "TAGS" in request.get("include", ())
    tasks = [found[i] for i in dict.fromkeys(ids.values()) if i in found]
    return {
        "tasks": [render_task(call, task, with_tags=tags) for task in tasks],
        "failures": [
            {"arn": _failure_arn(call, cluster, ref), "reason": "MISSING"}
            for ref, task_id in ids.items()
            if task_id not in found
        ],
    }


@ecs.operation("ListTasks")
def list_tasks(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """ARNs of the cluster's tasks, by what was asked of them (``desiredStatus`` RUNNING unless said otherwise)."""
    cluster = find_cluster(call, request.get("cluster"))
    wanted = request.get("desiredStatus", "RUNNING")
    query = select(Task.id)
    if any(request.get(narrower) for narrower in ("family", "startedBy", "containerInstance")):
        # Not for an index to answer: SQLite would take two equalities for narrower than one, and read a whole cluster.
        query = query.where(
            func.coalesce(Task.cluster, "") == cluster.name, func.coalesce(Task.desired_status, "") == wanted
        )
    else:
        query = query.where(Task.cluster == cluster.name, Task.desired_status == wanted)
    if request.get("family"):
        query = query.where(Task.family == request["family"])
    if request.get("startedBy"):
        query = query.where(Task.started_by == request["startedBy"])
    if request.get("serviceName"):
        service = find_service(call, cluster, request["serviceName"])
        query = query.where(Task.service_name == service.name)
    if request.get("launchType"):
        query = query.where(Task.launch_type == request["launchType"])
    if request.get("containerInstance"):
        query = query.where(Task.container_instance_id == last_part(request["containerInstance"]))
    filters = {name: value for name, value in request.items() if name not in ("maxResults", "nextToken")}
    ids, more = page(
        request,
        lambda after, limit: call.session.scalars(
            (query.where(Task.id > after) if after else query).order_by(Task.id).limit(limit)
        ).all(),
        key=lambda row_id: row_id,
        scope=scope_of("ListTasks", **filters),
    )
    return {"taskArns": [call.arns.task(cluster.name, task_id) for task_id in ids], **more}


def find_task(call: Call, cluster_ref: str | None, ref: str) -> Task:
    """The task of an id or ARN, or InvalidParameterException."""
    cluster = find_cluster_name(call, cluster_ref)
    task_id = _task_id(call, cluster, ref)
    task = get_task(call.session, task_id) if task_id else None
    if task is None or task.cluster != cluster:
        raise InvalidParameterException("The referenced task was not found.")
    return task


def _task_id(call: Call, cluster: str, ref: str) -> str | None:
    """The id in a task's id or ARN; None when the ARN is of another cluster, account or noun."""
    name = resource_name(call, ref, "task")
    if name is None:
        return None
    owner, slash, task_id = name.rpartition("/")
    return None if slash and owner != cluster else task_id


def _failure_arn(call: Call, cluster: str, ref: str) -> str:
    return ref if ref.startswith("arn:") else call.arns.task(cluster, ref)


def _failures(call: Call, launch: Launch, refused: Refused) -> Sequence[dict[str, Any]]:
    """ECS names each host that could not take the task; with no host at all, the cluster."""
    failures = [
        {**failure, "arn": container_instance_arn(call, launch.cluster, failure["arn"]), "detail": refused.text()}
        for failure in refused.failures()
    ]
    return failures or [{"reason": NoContainerInstances().message, "detail": refused.text()}]
