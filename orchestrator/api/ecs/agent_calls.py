"""The calls that only agents make: finding their sockets and reporting state. See ``orchestrator/agents``."""

from typing import Any

from kit.ids import last_part
from orchestrator.agents.reports import apply_container_report, apply_task_report
from orchestrator.api.ecs.errors import InvalidParameterException
from orchestrator.api.ecs.wire import ecs
from orchestrator.call import Call
from scheduler.wiring import task_of_attachment
from state.tasks import Task

ACKNOWLEDGED = {"acknowledgment": "ACK"}


@ecs.operation("DiscoverPollEndpoint", readonly=True)
def discover_poll_endpoint(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Where the agent finds its sockets: on the endpoint it called already."""
    endpoint = call.settings.api_endpoint.rstrip("/")
    return {
        "endpoint": f"{endpoint}/acs",
        "telemetryEndpoint": f"{endpoint}/tcs",
        "serviceConnectEndpoint": f"{endpoint}/sc",
    }


@ecs.operation("SubmitTaskStateChange")
def submit_task_state_change(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Write what an agent observed of a task and its containers. May be repeated, may come late."""
    apply_task_report(call.session, _find_task(call, request.get("task")), request, now=call.now)
    return ACKNOWLEDGED


@ecs.operation("SubmitContainerStateChange")
def submit_container_state_change(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Write what an agent observed of one container."""
    apply_container_report(call.session, _find_task(call, request.get("task")), request)
    return ACKNOWLEDGED


@ecs.operation("SubmitAttachmentStateChanges")
def submit_attachment_state_changes(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Write that network interfaces are in place (``ATTACHED``) or gone."""
    for change in request["attachments"]:
        attachment_id = last_part(change["attachmentArn"])
        task = call.session.get(Task, task_of_attachment(attachment_id) or "", with_for_update=True)
        if task is not None and task.last_status not in ("DEPROVISIONING", "STOPPED"):
            task.attachments = [
                {**attachment, "status": change["status"]} if attachment["id"] == attachment_id else attachment
                for attachment in task.attachments
            ]
    return ACKNOWLEDGED


def _find_task(call: Call, ref: str | None) -> Task:
    # Held for the transaction: reports of one task may arrive together on two replicas.
    task = call.session.get(Task, last_part(ref or ""), with_for_update=True)
    if task is None:
        raise InvalidParameterException("The referenced task was not found.")
    return task
