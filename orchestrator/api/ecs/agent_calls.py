"""The calls that only agents make: finding their sockets and reporting state. See ``orchestrator/agents``."""

from typing import Any

from kit.ids import last_part
from orchestrator.agents.own_host import check_own_host
from orchestrator.agents.report_desk import REPORTER
from orchestrator.api.ecs.wire import ecs
from orchestrator.call import Call
from orchestrator.errand import Errand
from scheduler.wiring import task_of_attachment

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


@ecs.operation("SubmitAttachmentStateChanges", outside=True)
def submit_attachment_state_changes(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    """Write what an agent observed of tasks' network interfaces."""
    changes: dict[str, list[dict[str, Any]]] = {}
    for change in request["attachments"]:
        owner = task_of_attachment(last_part(change["attachmentArn"]))
        changes.setdefault(owner or "", []).append(change)
    return _submit(errand, *({"task": task_id, "attachments": those} for task_id, those in changes.items()))


def _submit(errand: Errand, *reports: dict[str, Any]) -> dict[str, Any]:
    reporter = errand.caller.speaks_for
    said_by = {} if reporter is None else {REPORTER: reporter}
    for trouble in errand.tools.desk.submit([{**report, **said_by} for report in reports]):
        if trouble is not None:
            raise trouble
    return ACKNOWLEDGED
