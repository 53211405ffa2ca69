"""The roles of a task: what its containers act as, and what its agent acts as when it starts them. Pure."""

from collections.abc import Mapping
from typing import Any

from state.role_sessions import APPLICATION, EXECUTION

_MEMBERS = {APPLICATION: "taskRoleArn", EXECUTION: "executionRoleArn"}


def roles_of(body: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, str]:
    """The role of each kind as it was given, an ARN or a name; overrides of a launch go before the definition."""
    given = {kind: overrides.get(member) or body.get(member) for kind, member in _MEMBERS.items()}
    return {kind: role for kind, role in given.items() if role}
