"""linuxParameters of a container: capabilities, devices, tmpfs and shared memory."""

from collections.abc import Mapping
from typing import Any

from orchestrator.api.ecs.errors import ClientException

_NAMES = (
    "ALL AUDIT_CONTROL AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID "
    "IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN "
    "NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT "
    "SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG "
    "WAKE_ALARM"
)
MOST_SWAP = 2**31 - 1
CAPABILITIES = frozenset(_NAMES.split())


def check_linux_parameters(container: Mapping[str, Any], name: str) -> None:
    """Raise ClientException for what no Linux host could be asked."""
    parameters = container.get("linuxParameters") or {}
    capabilities = parameters.get("capabilities") or {}
    for capability in (*(capabilities.get("add") or ()), *(capabilities.get("drop") or ())):
        if capability not in CAPABILITIES:
            raise ClientException(f"Container '{name}': unknown Linux capability '{capability}'.")
    for device in parameters.get("devices") or ():
        for member in ("hostPath", "containerPath"):
            path = device.get(member)
            if path and not path.startswith("/"):
                raise ClientException(f"Container '{name}': devices need an absolute {member}, not '{path}'.")
        if not device.get("hostPath"):
            raise ClientException(f"Container '{name}': devices need a hostPath.")
    for tmpfs in parameters.get("tmpfs") or ():
        if not tmpfs["containerPath"].startswith("/") or tmpfs["size"] < 1:
            raise ClientException(f"Container '{name}': tmpfs needs an absolute containerPath and a size in MiB.")
    swap, swappiness = parameters.get("maxSwap"), parameters.get("swappiness")
    if swap is not None and not 0 <= swap <= MOST_SWAP:
        raise ClientException(f"Container '{name}': maxSwap must be 0 or a positive number of MiB, not {swap}.")
    if swap is not None and not container.get("memory"):
        # The engine bounds memory and swap together, so that swap alone means nothing to it.
        raise ClientException(f"Container '{name}': maxSwap needs the container's memory to be given.")
    if swappiness is not None and not 0 <= swappiness <= 100:
        raise ClientException(f"Container '{name}': swappiness must be between 0 and 100, not {swappiness}.")
    shared = parameters.get("sharedMemorySize")
    if shared is not None and shared < 1:
        raise ClientException(f"Container '{name}': sharedMemorySize must be at least 1 MiB.")
