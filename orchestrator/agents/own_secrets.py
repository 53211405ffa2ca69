"""A task's own secrets: whoever acts as a task's execution role reads what the task's definition names, and no more."""

from kit.aws.errors import AccessDeniedException
from orchestrator.call import Call
from scheduler.task_secrets import secrets_of
from state.role_sessions import EXECUTION, RoleSession
from state.task_definitions import TaskDefinition
from state.tasks import Task


def check_own_secret(call: Call, *names: str) -> None:
    """Raise AccessDeniedException when the caller's key is a host's, or made for starting one of its tasks, and no
    definition of that names the secret, or the parameter, by one of its ``names``, the first of them for people."""
    if call.caller.speaks_for is None:
        return
    own = call.session.get(RoleSession, call.caller.access_key_id)
    task = call.session.get(Task, own.task_id) if own is not None and own.kind == EXECUTION else None
    definition = call.session.get(TaskDefinition, (task.family, task.revision)) if task is not None else None
    if definition is None or not set(names) & set(secrets_of(definition.body)):
        raise AccessDeniedException(
            f"User: {call.caller.principal_arn} is not authorized to read {names[0]}: its task's definition does not "
            "name it."
        )
