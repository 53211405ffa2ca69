"""Where a task's secrets are kept, by how a task definition names them. Pure.

Source: ECS API, Secret: the ARN of a Secrets Manager secret, or the ARN or name of a Systems Manager parameter.
"""


def provider_of(value_from: str) -> str:
    """``asm`` for Secrets Manager, ``ssm`` for Systems Manager, as the agent protocol calls them."""
    parts = value_from.split(":")
    return "asm" if parts[0] == "arn" and parts[2:3] == ["secretsmanager"] else "ssm"


def region_of(value_from: str, own: str) -> str:
    """The region that an ARN names; ``own`` for a mere name."""
    parts = value_from.split(":")
    return parts[3] if parts[0] == "arn" and len(parts) > 3 else own
