"""The calls that only agents make: finding their sockets and reporting state. See ``orchestrator/agents``."""

from typing import Any

from kit.ids import last_part
from orchestrator.agents.own_host import check_own_host
from orchestrator.agents.report_desk import REPORTER
from orchestrator.api.ecs.wire import ecs
from orchestrator.call import Call
from orchestrator.errand import Errand
from scheduler.wiring import task_of_attachment
from state.tasks import Task, hold_tasks

ACKNOWLEDGED = {"acknowledgment": "ACK"}


@ecs.operation("DiscoverPollEndpoint", readonly=True)
def discover_poll_endpoint(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Where the agent finds its sockets: on the endpoint it called already."""
    check_own_host(call.caller, request.get("containerInstance"))
    endpoint = call.settings.api_endpoint.rstrip("/")
    return {
        "endpoint": f"{endpoint}/acs",
        "telemetryEndpoint": f"{endpoint}/tcs",
        "serviceConnectEndpoint": f"{endpoint}/sc",
    }


@ecs.operation("SubmitTaskStateChange", outside=True)
def submit_task_state_change(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    """Write what an agent observed of a task and its containers. May be repeated, may come late."""
    return _submit(errand, request)


@ecs.operation("SubmitContainerStateChange", outside=True)
def submit_container_state_change(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    """Write what an agent observed of one container."""
    return _submit(errand, {"task": request.get("task"), "containers": [request]})


@ecs.operation("SubmitAttachmentStateChanges")
def submit_attachment_state_changes(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Write that network interfaces are in place (``ATTACHED``) or gone."""
    changes = [(last_part(change["attachmentArn"]), change["status"]) for change in request["attachments"]]
    owners = {attachment_id: task_of_attachment(attachment_id) or "" for attachment_id, _ in changes}
    hold_tasks(call.session, owners.values())
    for attachment_id, status in changes:
        task = call.session.get(Task, owners[attachment_id])
        if task is not None:
            check_own_host(call.caller, task.container_instance_id)
        if task is not None and task.last_status not in ("DEPROVISIONING", "STOPPED"):
            task.attachments = [
                {**attachment, "status": status} if attachment["id"] == attachment_id else attachment
                for attachment in task.attachments
            ]
    return ACKNOWLEDGED


def _submit(errand: Errand, report: dict[str, Any]) -> dict[str, Any]:
    reporter = errand.caller.speaks_for
    for trouble in errand.tools.desk.submit([report if reporter is None else {**report, REPORTER: reporter}]):
        if trouble is not None:
            raise trouble
    return ACKNOWLEDGED
