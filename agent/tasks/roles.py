"""The roles of a task: that of its containers, and the execution role, in which this host acts for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.keys import Keys
from agent.tasks.reading import text


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role with its temporary keys, as the control plane tells and renews them.

    ``id`` stays the same when keys are renewed; ``expiration`` is an instant in the protocol's words.
    """

    id: str
    arn: str
    keys: Keys
    expiration: str

    def __repr__(self) -> str:
        """Never the id, which is all that a container needs to ask for the keys."""
        return f"Role({self.arn} {self.keys.access_key})"

    def is_older_than(self, other: "Role") -> bool:
        """Whether the other one's keys last longer. Instants are all written alike, so they compare as text."""
        return self.expiration < other.expiration


def read_role(raw: Mapping[str, Any], where: str) -> Role | None:
    """The credentials of a payload or of a message; None when a task has no such role. Raises BadPayload."""
    if not raw:
        return None
    return Role(
        id=text(raw, "credentialsId", where),
        arn=text(raw, "roleArn", where, ""),
        keys=Keys(
            access_key=text(raw, "accessKeyId", where),
            secret_key=text(raw, "secretAccessKey", where),
            session_token=text(raw, "sessionToken", where, ""),
        ),
        expiration=text(raw, "expiration", where, ""),
    )
