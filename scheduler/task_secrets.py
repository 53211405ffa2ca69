"""The secrets of a task: which its definition names, and where they are kept. Pure.

Source: ECS API, Secret: the ARN of a Secrets Manager secret, or the ARN or name of a Systems Manager parameter.
"""

from collections.abc import Iterator, Mapping
from typing import Any

# The parts of a secret's ARN; a JSON key, a version's stage and its id may come after.
ARN_PARTS = 7


def secrets_of(body: Mapping[str, Any]) -> Iterator[str]:
    """What a definition's containers are given of secrets and parameters, by ARN or name."""
    for container in body["containerDefinitions"]:
        options = (container.get("logConfiguration") or {}).get("secretOptions") or ()
        named = [secret["valueFrom"] for secret in (*(container.get("secrets") or ()), *options)]
        if container.get("repositoryCredentials"):
            named.append(container["repositoryCredentials"]["credentialsParameter"])
        yield from (":".join(name.split(":")[:ARN_PARTS]) for name in named)


def provider_of(value_from: str) -> str:
    """``asm`` for Secrets Manager, ``ssm`` for Systems Manager, as the agent protocol calls them."""
    parts = value_from.split(":")
    return "asm" if parts[0] == "arn" and parts[2:3] == ["secretsmanager"] else "ssm"


def region_of(value_from: str, own: str) -> str:
    """The region that an ARN names; ``own`` for a mere name."""
    parts = value_from.split(":")
    return parts[3] if parts[0] == "arn" and len(parts) > 3 else own
