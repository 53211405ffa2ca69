"""Volumes of a task definition: of the host, of a Docker driver, or of a file system that stands for EFS's.

Source: ECS API, Volume and the types that it names.
"""

from collections.abc import Mapping
from typing import Any

from kit.file_systems import fits_path, read_file_systems
from kit.settings import Settings
from orchestrator.api.ecs.errors import ClientException
from orchestrator.api.ecs.names import check_member_name

KINDS = ("dockerVolumeConfiguration", "efsVolumeConfiguration")


def check_volumes(body: Mapping[str, Any], *, settings: Settings) -> None:
    """Raise ClientException for a volume that no host could give."""
    names = set()
    for volume in body["volumes"]:
        name = check_member_name(volume.get("name"), "Volume.name")
        if name in names:
            raise ClientException(f"Duplicate volume name '{name}'.")
        names.add(name)
        source = (volume.get("host") or {}).get("sourcePath")
        kinds = [*(["host"] if source else []), *(kind for kind in KINDS if volume.get(kind))]
        if len(kinds) > 1:
            raise ClientException(f"Volume '{name}' can have a {kinds[0]} or a {kinds[1]}, not both.")
        if source and not source.startswith("/"):
            raise ClientException(f"Volume '{name}': host.sourcePath must be an absolute path, not '{source}'.")
        docker = volume.get("dockerVolumeConfiguration")
        if docker and docker.get("autoprovision") is not None and (docker.get("scope") or "task") != "shared":
            raise ClientException(f"Volume '{name}': autoprovision can only be used when the scope is shared.")
        if volume.get("efsVolumeConfiguration"):
            _file_system(name, volume["efsVolumeConfiguration"], settings)


def _file_system(name: str, efs: Mapping[str, Any], settings: Settings) -> None:
    where = f"Volume '{name}': efsVolumeConfiguration"
    known = read_file_systems(settings.file_systems)
    if efs["fileSystemId"] not in known:
        raise ClientException(
            f"{where}.fileSystemId '{efs['fileSystemId']}' is not known to this Berth: name its NFS server in "
            "BERTH_FILE_SYSTEMS."
        )
    directory = efs.get("rootDirectory")
    if directory and not fits_path(directory):
        raise ClientException(
            f"{where}.rootDirectory must be an absolute path without blanks, commas and '..', not '{directory}'."
        )
