"""A host's key and its container instance: from its first registration on, the key speaks for that one alone."""

from kit.aws.errors import AccessDeniedException
from orchestrator.call import Call
from scheduler.leaving import take_out
from state.access_keys import AccessKey, hold_access_key
from state.clusters import lock_cluster
from state.container_instances import ContainerInstance, get_container_instance


def hold_registering_key(call: Call) -> AccessKey | None:
    """The key of the host that registers, held for this transaction; None for who may register any host.

    What the key says now counts, and not what was remembered of it when the call came: it may have been revoked, or
    have registered, a moment ago. Raises AccessDeniedException.
    """
    if call.caller.speaks_for is None:
        return None
    key = hold_access_key(call.session, call.caller.access_key_id)
    if key is None or key.speaks_for is None:
        raise AccessDeniedException(f"The key of User: {call.caller.principal_arn} has ended.")
    return key


def check_registering(call: Call, key: AccessKey | None, known: ContainerInstance | None) -> None:
    """Raise AccessDeniedException when a host's key would take over ``known``, which is another's."""
    if key is not None and known is not None and known.id != key.speaks_for:
        raise AccessDeniedException(
            f"User: {call.caller.principal_arn} is not authorized to register a container instance that is not its own."
        )


def part_from_old(call: Call, key: AccessKey | None) -> None:
    """A host that registers as a new one is no longer the one that its key spoke for: nobody can be that any more."""
    old = get_container_instance(call.session, key.speaks_for) if key is not None and key.speaks_for else None
    if old is not None and old.status != "INACTIVE":
        lock_cluster(call.session, old.cluster)
        take_out(call.session, old, now=call.now, because="its agent registered as a new container instance")


def bind_key(key: AccessKey | None, instance: ContainerInstance) -> None:
    """Let the key of a host that has registered speak for it."""
    if key is not None:
        key.speaks_for = instance.id
