"""Wiring: the address of a task in ``awsvpc`` mode, as an ElasticNetworkInterface attachment.

The control plane gives the address out of the network that the host's agent registered, so it is known before the
task runs, and it is unique wherever hosts share that network.
"""

import ipaddress
import uuid
from typing import Any

from state.addresses import NoAddressLeft, take_addresses
from state.container_instances import ContainerInstance
from state.store import Session
from state.tasks import Task


def attach_address(session: Session, task: Task, instance: ContainerInstance) -> None:
    """Reserve an address on the host's ``awsvpc`` network and write it into the task's attachments.

    Raises NoAddressLeft; a host without such a network is never chosen for a task that needs one.
    """
    network = instance.attribute("berth.awsvpc-cidr")
    assert network is not None, "placement offers only hosts that have the network"
    address = take_addresses(session, network, [task.id]).get(task.id)
    if address is None:
        raise NoAddressLeft(f"network {network} has no address left")
    wanted = (task.network_configuration or {}).get("awsvpcConfiguration", {})
    subnet = next(iter(wanted.get("subnets", ())), "")
    gateway = next(ipaddress.ip_network(network).hosts())
    details = {
        "subnetId": subnet,
        "networkInterfaceId": f"eni-{task.id[-17:]}",
        "macAddress": "02:42:" + ":".join(f"{octet:02x}" for octet in ipaddress.ip_address(address).packed),
        "privateDnsName": f"ip-{address.replace('.', '-')}.berth.internal",
        "privateIPv4Address": address,
        "berth.gateway": f"{gateway}/{ipaddress.ip_network(network).prefixlen}",
    }
    task.attachments = [
        {
            "id": str(uuid.UUID(task.id)),
            "type": "ElasticNetworkInterface",
            "status": "PRECREATED",
            "details": [{"name": name, "value": value} for name, value in details.items() if value],
        }
    ]


def task_of_attachment(attachment_id: str) -> str | None:
    """The id of the task that an attachment of ours belongs to; None for any other text."""
    try:
        return uuid.UUID(attachment_id).hex
    except ValueError:
        return None


def interface_of(task: Task) -> dict[str, Any] | None:
    """The details of the task's network interface as one mapping, or None when it has none."""
    for attachment in task.attachments:
        if attachment["type"] == "ElasticNetworkInterface":
            return {"attachmentId": attachment["id"], **{d["name"]: d["value"] for d in attachment["details"]}}
    return None
