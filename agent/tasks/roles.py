"""The role of a task's containers: its temporary keys, as the control plane tells and renews them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.tasks.reading import text


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRole:
    """``id`` stays the same when keys are renewed; ``expiration`` is an instant in the protocol's words."""

    id: str
    arn: str
    access_key: str
    secret_key: str
    session_token: str
    expiration: str

    def __repr__(self) -> str:
        """Never the secrets: roles end up in tracebacks and logs."""
        return f"TaskRole({self.arn} {self.access_key})"

    def is_older_than(self, other: "TaskRole") -> bool:
        """Whether the other one's keys last longer. Instants are all written alike, so they compare as text."""
        return self.expiration < other.expiration


def read_task_role(raw: Mapping[str, Any], where: str) -> TaskRole | None:
    """``roleCredentials`` of a payload or of a message; None when a task has no role. Raises BadPayload."""
    if not raw:
        return None
    return TaskRole(
        id=text(raw, "credentialsId", where),
        arn=text(raw, "roleArn", where, ""),
        access_key=text(raw, "accessKeyId", where),
        secret_key=text(raw, "secretAccessKey", where),
        session_token=text(raw, "sessionToken", where, ""),
        expiration=text(raw, "expiration", where, ""),
    )
