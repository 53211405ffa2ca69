"""The ids by which containers are known at the endpoints: nobody can guess one, and a restart changes none.

An id is made of the container's name and a key on this host's disk, so nothing of it has to be kept with the task.
"""

import hashlib
import hmac
import secrets
from pathlib import Path

from kit.files import read_or_create

NAME = "endpoint-key"


class EndpointIds:
    """Makes ids with the key in the agent's data directory, which is made when it is missing."""

    def __init__(self, data: Path) -> None:
        self._key = read_or_create(data / NAME, secrets.token_hex(32) + "\n").strip().encode()

    def id_of(self, task: str, container: str) -> str:
        """The container's id: 160 bits in hexadecimal digits."""
        return hmac.new(self._key, f"{task}\n{container}".encode(), hashlib.sha256).hexdigest()[:40]
