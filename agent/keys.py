"""Keys: what a request is signed with, of whomever they are."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """An access key, with a session token when it is temporary."""

    access_key: str
    secret_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        """Never the secrets: keys end up in tracebacks and logs."""
        return f"Keys({self.access_key})"


# Of an agent that has its own on disk.
NO_KEYS = Keys(access_key="", secret_key="")
