"""How a task looks to a client of the ECS API."""

from collections.abc import Mapping
from typing import Any

from kit.fargate import storage_of
from orchestrator.api.ecs.lookup import cluster_arn, container_instance_arn, task_arn, task_definition_arn
from orchestrator.call import Call
from scheduler.wiring import interface_of
from state.task_definitions import get_task_definition
from state.tasks import Task

INSTANTS = {
    "createdAt": "created_at",
    "pullStartedAt": "pull_started_at",
    "pullStoppedAt": "pull_stopped_at",
    "connectivityAt": "connectivity_at",
    "startedAt": "started_at",
    "stoppingAt": "stopping_at",
    "executionStoppedAt": "execution_stopped_at",
    "stoppedAt": "stopped_at",
}


def render_task(call: Call, task: Task, *, with_tags: bool = True) -> dict[str, Any]:
    """The task as DescribeTasks answers it."""
    arn = task_arn(call, task)
    view: dict[str, Any] = {
        "taskArn": arn,
        "clusterArn": cluster_arn(call, task.cluster),
        "taskDefinitionArn": task_definition_arn(call, task.family, task.revision),
        "group": task.group,
        "launchType": task.launch_type,
        "lastStatus": task.last_status,
        "desiredStatus": task.desired_status,
        "healthStatus": task.health_status,
        "cpu": str(task.cpu),
        "memory": str(task.memory),
        "version": task.version,
        "containers": [_container(call, task, arn, c) for c in task.containers],
        # A service's tasks have none, and clients look for the lists all the same.
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": [], **task.overrides},
        "attachments": [_attachment(attachment) for attachment in task.attachments],
        "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}, *task.attributes]
        if task.launch_type == "FARGATE"
        else task.attributes,
        "enableExecuteCommand": task.enable_execute_command,
        "inferenceAccelerators": [],
        "tags": task.tags if with_tags else [],
        "startedBy": task.started_by,
        "connectivity": "CONNECTED" if task.connectivity_at else None,
        "capacityProviderName": task.capacity_provider,
        "platformVersion": task.platform_version,
        "platformFamily": "Linux" if task.launch_type == "FARGATE" else None,
        "stopCode": task.stop_code if task.desired_status == "STOPPED" else None,
        "stoppedReason": task.stopped_reason if task.desired_status == "STOPPED" else None,
    }
    if task.launch_type == "FARGATE":
        definition = get_task_definition(call.session, task.family, task.revision)
        view["ephemeralStorage"] = {"sizeInGiB": storage_of(definition.body if definition else {}, task.overrides)}
    elif task.container_instance_id:
        view["containerInstanceArn"] = container_instance_arn(call, task.cluster, task.container_instance_id)
    for member, column in INSTANTS.items():
        view[member] = getattr(task, column)
    return {member: value for member, value in view.items() if value is not None}


def _container(call: Call, task: Task, arn: str, container: Mapping[str, Any]) -> dict[str, Any]:
    view = {member: value for member, value in container.items() if member != "id"}
    view |= {
        "containerArn": call.arns.container(task.cluster, task.id, container["id"]),
        "taskArn": arn,
    }
    if task.enable_execute_command:
        # The agent itself runs the commands: there is no process of its own in the container.
        view["managedAgents"] = [
            {
                "name": "ExecuteCommandAgent",
                "lastStatus": container["lastStatus"],
                **({"lastStartedAt": task.started_at} if task.started_at else {}),
            }
        ]
    interface = interface_of(task)
    if interface is not None:
        view["networkInterfaces"] = [
            {"attachmentId": interface["attachmentId"], "privateIpv4Address": interface["privateIPv4Address"]}
        ]
    return view


def _attachment(attachment: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **attachment,
        "details": [detail for detail in attachment["details"] if not detail["name"].startswith("berth.")],
    }
