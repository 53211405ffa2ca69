"""Wiring: the address of a task in ``awsvpc`` mode, as an ElasticNetworkInterface attachment.

The control plane gives the address out of the network that the host's agent registered, so it is known before the
task runs, and it is unique wherever hosts share that network.
"""

import ipaddress
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

# The course of an attachment (ECS API, Attachment), which only goes forward; FAILED and what follows end it.
COURSE = ("PRECREATED", "CREATED", "ATTACHING", "ATTACHED", "DETACHING", "DETACHED", "FAILED", "DELETED")
# What agents say of one. That it is made and that it is gone is Berth's own to say.
TOLD_BY_AGENTS = ("ATTACHING", "ATTACHED", "DETACHING", "DETACHED", "FAILED")


class Attached(Protocol):
    """A task, or a row with its attachments."""

    @property
    def attachments(self) -> Sequence[Mapping[str, Any]]: ...


def render_attachment(
    task_id: str, *, network: str, address: str, configuration: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The attachment of a task that has this address of the network; ``configuration`` is what was asked for."""
    wanted = (configuration or {}).get("awsvpcConfiguration", {})
    subnet = next(iter(wanted.get("subnets", ())), "")
    gateway = next(ipaddress.ip_network(network).hosts())
    details = {
        "subnetId": subnet,
        "networkInterfaceId": f"eni-{task_id[-17:]}",
        "macAddress": "02:42:" + ":".join(f"{octet:02x}" for octet in ipaddress.ip_address(address).packed),
        "privateDnsName": f"ip-{address.replace('.', '-')}.berth.internal",
        "privateIPv4Address": address,
        "berth.gateway": f"{gateway}/{ipaddress.ip_network(network).prefixlen}",
    }
    return {
        "id": str(uuid.UUID(task_id)),
        "type": "ElasticNetworkInterface",
        "status": "PRECREATED",
        "details": [{"name": name, "value": value} for name, value in details.items() if value],
    }


def task_of_attachment(attachment_id: str) -> str | None:
    """The id of the task that an attachment of ours belongs to; None for any other text."""
    try:
        return uuid.UUID(attachment_id).hex
    except ValueError:
        return None


def move_attachments(
    attachments: list[dict[str, Any]], status: str, *, only: str | None = None
) -> list[dict[str, Any]]:
    """The attachments in a later status, all or the one of an id; the very same list where none of them moves."""
    moved = [
        {**one, "status": status}
        if only in (None, one["id"]) and COURSE.index(one["status"]) < COURSE.index(status)
        else one
        for one in attachments
    ]
    return attachments if moved == attachments else moved


def interface_of(task: Attached) -> dict[str, Any] | None:
    """The details of the task's network interface as one mapping, or None when it has none."""
    for attachment in task.attachments:
        if attachment["type"] == "ElasticNetworkInterface":
            return {"attachmentId": attachment["id"], **{d["name"]: d["value"] for d in attachment["details"]}}
    return None
