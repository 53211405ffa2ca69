"""Names as ECS accepts them: up to 255 letters, digits, hyphens and underscores."""

import re

from orchestrator.api.ecs.errors import ClientException, InvalidParameterException

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


def check_name(name: str, noun: str) -> str:
    """The name of a cluster or a service; raises InvalidParameterException."""
    if _NAME.fullmatch(name) is None:
        raise InvalidParameterException(
            f"{noun} name must be 1 to 255 letters, numbers, hyphens and underscores, not {name[:64]!r}."
        )
    return name


def check_member_name(name: str | None, member: str) -> str:
    """The name of a family, a container or a volume; raises ClientException with ECS's words."""
    if not name:
        raise ClientException(f"{member} should not be null or empty.")
    if _NAME.fullmatch(name) is None:
        raise ClientException(
            f"{member} contains invalid characters: up to 255 letters, numbers, hyphens and underscores are allowed, "
            f"not {name[:64]!r}."
        )
    return name
