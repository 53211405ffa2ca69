"""Secrets as a payload names them: where each is kept, and where in the container it goes. Never a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.tasks.reading import BadPayload, objects, text


class Provider(StrEnum):
    """Secrets Manager, or Systems Manager's parameters."""

    ASM = "asm"
    SSM = "ssm"


class Target(StrEnum):
    CONTAINER = "CONTAINER"
    LOG_DRIVER = "LOG_DRIVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """``name`` is the environment variable, or the log driver's option, that gets the value."""

    name: str
    value_from: str
    provider: Provider
    target: Target = Target.CONTAINER


def read_secrets(raw: Mapping[str, Any], where: str) -> tuple[SecretRef, ...]:
    """A container's ``secrets``."""
    return tuple(_secret(secret, place) for secret, place in objects(raw, "secrets", where))


def _secret(raw: Mapping[str, Any], where: str) -> SecretRef:
    name = text(raw, "name", where)
    if "=" in name or "\0" in name:
        raise BadPayload(f"{where}.name: {name!r} is no name for a variable")
    provider = text(raw, "provider", where, Provider.SSM)
    if provider not in tuple(Provider):
        raise BadPayload(f"{where}.provider: this agent knows asm and ssm, not {provider}")
    kind = text(raw, "type", where, "ENVIRONMENT_VARIABLE")
    if kind != "ENVIRONMENT_VARIABLE":
        raise BadPayload(f"{where}.type: this agent knows only ENVIRONMENT_VARIABLE, not {kind}")
    target = text(raw, "target", where, Target.CONTAINER)
    if target not in tuple(Target):
        raise BadPayload(f"{where}.target: {target} is neither CONTAINER nor LOG_DRIVER")
    return SecretRef(
        name=name,
        value_from=text(raw, "valueFrom", where),
        provider=Provider(provider),
        target=Target(target),
    )
