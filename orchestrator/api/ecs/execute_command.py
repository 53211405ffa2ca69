"""The API of ECS Exec: a session in a running container, whose stream URL the Session Manager plugin speaks to."""

import hashlib
import secrets as randomness
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from kit.ids import new_id
from orchestrator.api.ecs.errors import InvalidParameterException, TargetNotConnectedException
from orchestrator.api.ecs.lookup import cluster_arn, task_arn
from orchestrator.api.ecs.tasks import find_task
from orchestrator.api.ecs.wire import ecs
from orchestrator.call import Call
from state.base import Event
from state.container_instances import get_container_instance
from state.exec_sessions import ExecSession
from state.tasks import Task

CLIENT_WITHIN = timedelta(minutes=1)
LONGEST_COMMAND = 4096
NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or the execute command "
    "agent isn't running. Wait and try again or run a new task with execute command enabled and try again."
)


@ecs.operation("ExecuteCommand")
def execute_command(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Make a session for one command in one container; its token is good for a minute, once."""
    task = find_task(call, request.get("cluster"), request["task"])
    if not request["interactive"]:
        raise InvalidParameterException("Interactive is the only mode supported currently.")
    command = request["command"]
    if not command.strip() or len(command) > LONGEST_COMMAND or "\0" in command:
        raise InvalidParameterException(f"command must have from 1 to {LONGEST_COMMAND} characters.")
    if not task.enable_execute_command:
        raise InvalidParameterException(NOT_ENABLED)
    container = _container(task, request.get("container"))
    host_id = _host(call, task)
    token = randomness.token_urlsafe(48)
    made = ExecSession(
        id=f"ecs-execute-command-{new_id()}",
        status="MADE",
        token_digest=hashlib.sha256(token.encode()).hexdigest(),
        cluster=task.cluster,
        task_id=task.id,
        container=container["name"],
        container_instance_id=host_id,
        command=command,
        caller=call.caller.principal_arn,
        created_at=call.now,
        expires_at=call.now + CLIENT_WITHIN,
    )
    call.session.add(made)
    because = f"{call.caller.principal_arn} runs {command!r} in container {container['name']}"
    call.session.add(
        Event(at=call.now, kind="execute-command", entity=made.event_name(), before=None, after="MADE", because=because)
    )
    endpoint = call.settings.api_endpoint.rstrip("/").replace("http", "ws", 1)
    return {
        "clusterArn": cluster_arn(call, task.cluster),
        "containerArn": call.arns.container(task.cluster, task.id, container["id"]),
        "containerName": container["name"],
        "interactive": True,
        "session": {
            "sessionId": made.id,
            "streamUrl": f"{endpoint}/exec/ws?session={quote(made.id)}",
            "tokenValue": token,
        },
        "taskArn": task_arn(call, task),
    }


def _container(task: Task, name: str | None) -> dict[str, Any]:
    if name is None and len(task.containers) > 1:
        raise InvalidParameterException("The container name is required for a task with more than one container.")
    container = next((one for one in task.containers if name in (None, one["name"])), None)
    if container is None:
        raise InvalidParameterException(f"The task has no container named '{name}'.")
    if task.last_status != "RUNNING" or container["lastStatus"] != "RUNNING":
        raise InvalidParameterException(f"The container '{container['name']}' is not running.")
    return container


def _host(call: Call, task: Task) -> str:
    host = get_container_instance(call.session, task.container_instance_id or "")
    if host is None or not host.agent_connected:
        raise TargetNotConnectedException("The execute command failed: the agent of the task's host is not connected.")
    if host.attribute("berth.agent") is None:
        raise TargetNotConnectedException("The execute command failed: the task's host has no agent that can run it.")
    return host.id
