"""A host's own: whoever has a host's key may act for that one container instance and what runs on it."""

from kit.aws.errors import AccessDeniedException
from kit.aws.sigv4 import Caller
from kit.ids import last_part


def check_own_host(caller: Caller, container_instance: str | None) -> None:
    """Raise AccessDeniedException when the caller's key is a host's and this (id or ARN) is another's."""
    if caller.speaks_for is not None and last_part(container_instance or "") != (caller.speaks_for or None):
        raise AccessDeniedException(
            f"User: {caller.principal_arn} is not authorized to act for a container instance that is not its own."
        )
