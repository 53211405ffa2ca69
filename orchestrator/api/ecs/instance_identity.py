"""What an EC2 instance's identity document says of a host. The official agent leaves it to the document where it has
one: which architecture, type and zone the host is of, and which instance.

The signature beside it is not looked at: a document says no more than attributes do, which an agent may choose.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.api.ecs.errors import ClientException

ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}
LONGEST = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceIdentity:
    """The instance's id and, by name, the attributes that follow from its document."""

    instance_id: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


def read_identity(document: str) -> InstanceIdentity:
    """What the document says; an empty one says nothing. Raises ClientException for one that makes no sense."""
    if not document:
        return InstanceIdentity()
    try:
        said = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise ClientException("The instance identity document is not a JSON object.") from error
    if not isinstance(said, dict):
        raise ClientException("The instance identity document is not a JSON object.")
    architecture = _text(said, "architecture")
    attributes = {
        "ecs.cpu-architecture": ARCHITECTURES.get(architecture, architecture),
        "ecs.availability-zone": _text(said, "availabilityZone"),
        "ecs.instance-type": _text(said, "instanceType"),
        "ecs.ami-id": _text(said, "imageId"),
    }
    return InstanceIdentity(
        instance_id=_text(said, "instanceId"), attributes={name: value for name, value in attributes.items() if value}
    )


def _text(said: Mapping[str, Any], member: str) -> str:
    value = said.get(member) or ""
    if not isinstance(value, str) or len(value) > LONGEST:
        raise ClientException(f"The instance identity document's {member} is no text of at most {LONGEST} characters.")
    return value
