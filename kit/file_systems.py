"""File systems that tasks may mount as EFS's: which NFS server stands for each id. From ``BERTH_FILE_SYSTEMS``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

ID = re.compile(r"fs-[0-9a-zA-Z]{1,40}")
_SERVER = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
# What a mount's options and its source are made of must end neither.
_UNFIT = re.compile(r"[\s,\x00-\x1f]|(?:^|/)\.\.(?:/|$)")


class BadFileSystems(ValueError):
    """The text names no file systems; the message says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """An export of an NFS server: ``server`` is a name or an address, ``path`` an absolute path on it."""

    server: str
    path: str


def read_file_systems(text: str) -> Mapping[str, FileSystem]:
    """``fs-0123=10.0.0.5:/exports/a,…`` by id. Raises BadFileSystems."""
    found: dict[str, FileSystem] = {}
    for entry in (word.strip() for word in text.split(",")):
        if not entry:
            continue
        id, _, where = entry.partition("=")
        server, colon, path = where.rpartition(":/")
        if not ID.fullmatch(id) or not colon or not _SERVER.fullmatch(server) or not fits_path(f"/{path}"):
            raise BadFileSystems(f"{entry!r} is not fs-ID=SERVER:/PATH")
        if id in found:
            raise BadFileSystems(f"{id} is named twice")
        found[id] = FileSystem(server=server.strip("[]"), path=f"/{path}")
    return found


def fits_path(path: str) -> bool:
    """Whether an absolute path can be mounted: it leaves no room for further options, and leads up nowhere."""
    return path.startswith("/") and _UNFIT.search(path) is None


def mount_options(system: FileSystem, directory: str) -> dict[str, str]:
    """The options of Docker's ``local`` volume driver for a directory of the file system. As AWS recommends for EFS,
    a server that is away is waited for."""
    path = "/".join(part.strip("/") for part in (system.path, directory) if part.strip("/"))
    return {
        "type": "nfs",
        "o": f"addr={system.server},nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport",
        "device": f":/{path}",
    }
