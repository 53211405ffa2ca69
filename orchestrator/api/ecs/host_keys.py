"""A host's key and its container instance: from its first registration on, the key speaks for that one alone."""

from kit.aws.errors import AccessDeniedException
from orchestrator.call import Call
from state.access_keys import get_access_key
from state.container_instances import ContainerInstance


def check_registering(call: Call, known: ContainerInstance | None) -> None:
    """Raise AccessDeniedException when a host's key would take over ``known``, which is another's."""
    key = call.caller.speaks_for
    if key is not None and known is not None and known.id != key:
        raise AccessDeniedException(
            f"User: {call.caller.principal_arn} is not authorized to register a container instance that is not its own."
        )


def bind_key(call: Call, instance: ContainerInstance) -> None:
    """Let the key of a host that has registered speak for it: as a new one, when it came without its old name."""
    if call.caller.speaks_for not in (None, instance.id):
        key = get_access_key(call.session, call.caller.access_key_id)
        if key is not None:
            key.speaks_for = instance.id
