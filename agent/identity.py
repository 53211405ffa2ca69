"""Who this agent is across restarts: an id of its own, its cluster, and the container instance it registered as."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kit.files import remove_unfinished, write_private
from kit.folders import private_folder
from kit.ids import new_id, resource_of
from kit.processes import AlreadyLocked, FolderLock


class AlreadyRunning(Exception):
    """Another agent works on this data directory."""


class OtherCluster(Exception):
    """The data directory belongs to an agent of another cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """``token`` makes a registration that is repeated after a lost answer the same registration."""

    id: str
    cluster: str
    token: str
    container_instance: str = ""
    zone: str = ""


class IdentityFile:
    """``agent.json`` in the data directory."""

    def __init__(self, data: Path) -> None:
        self._path = data / "agent.json"

    def load(self, cluster: str) -> Identity:
        """The identity kept, or a new one. Raises OtherCluster."""
        try:
            kept = Identity(**json.loads(self._path.read_text()))
        except FileNotFoundError:
            return self.save(Identity(id=new_id(), cluster=cluster, token=new_id()))
        except (ValueError, TypeError) as error:
            raise OtherCluster(f"{self._path} cannot be read as an agent's identity: {error}") from error
        if kept.cluster != cluster:
            raise OtherCluster(
                f"{self._path.parent} belongs to an agent of cluster {kept.cluster}; use another data directory"
                f" for cluster {cluster}"
            )
        return kept

    def save(self, identity: Identity) -> Identity:
        write_private(self._path, json.dumps(asdict(identity)))
        return identity

    def registered(self, identity: Identity, container_instance: str, zone: str = "") -> Identity:
        return self.save(replace(identity, container_instance=container_instance, zone=zone))

    def anew(self, identity: Identity) -> Identity:
        """The same agent, to be registered as a new container instance."""
        return self.save(replace(identity, container_instance="", token=new_id()))


class DataLock(FolderLock):
    """The lock of an agent's data directory, which is made where there is none. Raises AlreadyRunning.

    Files that an agent before this one was killed in writing, secrets among them, are removed.
    """

    def __init__(self, data: Path) -> None:
        private_folder(data)
        try:
            super().__init__(data / "lock")
        except AlreadyLocked as error:
            raise AlreadyRunning(f"an agent is running on {data} already") from error
        for folder in (data, data / "tasks", data / "logs"):
            remove_unfinished(folder)


def cluster_arn(identity: Identity) -> str:
    """The cluster's ARN, from the container instance's; the name while there is none."""
    arn = identity.container_instance
    parts = resource_of(arn).split("/")
    if not arn.startswith("arn:") or len(parts) != 3:
        return identity.cluster
    return f"{arn.split(':container-instance/')[0]}:cluster/{parts[1]}"
