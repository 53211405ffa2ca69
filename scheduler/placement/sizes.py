"""Sizes: texts of a task definition that say how much. ``BadSize`` names the one that cannot be read."""

import re

_CPU = re.compile(r"(\d+|\d*\.\d+|\d+\.)\s*(vcpus?)?", re.IGNORECASE | re.ASCII)
_MEMORY = re.compile(r"(\d+|\d*\.\d+|\d+\.)\s*(gb|mb)?", re.IGNORECASE | re.ASCII)
_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_GPUS = re.compile(r"[1-9][0-9]{0,3}")
LAST_PORT = 65_535


class BadSize(ValueError):
    """A cpu, memory, number of GPUs or port range that cannot be read."""


def cpu_units(text: str | int) -> int:
    """CPU units of a task-level cpu: ``"256"``, ``".25 vCPU"``, ``"1 vcpu"``."""
    found = _CPU.fullmatch(str(text).strip())
    if found is None or ("." in found[1] and not found[2]):
        raise BadSize(f"Invalid cpu {text!r}: CPU units like 256, or vCPU like .25 vCPU.")
    return round(float(found[1]) * 1024) if found[2] else int(found[1])


def memory_mib(text: str | int) -> int:
    """MiB of a task-level memory: ``"512"``, ``"0.5 GB"``, ``"2GB"``."""
    found = _MEMORY.fullmatch(str(text).strip())
    in_gb = found is not None and (found[2] or "").lower() == "gb"
    if found is None or ("." in found[1] and not in_gb):
        raise BadSize(f"Invalid memory {text!r}: MiB like 512, or GB like 0.5 GB.")
    return round(float(found[1]) * 1024) if in_gb else int(found[1])


def gpu_count(text: str | int) -> int:
    """The whole number of GPUs of a resource requirement: ``"2"``."""
    found = _GPUS.fullmatch(str(text).strip())
    if found is None:
        raise BadSize(f"Invalid number of GPUs {text!r}: a whole number like 1.")
    return int(found[0])


def port_range(text: str) -> range:
    """The ports of a ``containerPortRange``, ``"8000-8010"``: both ends belong to it, the first below the last."""
    found = _PORTS.fullmatch(str(text))
    if found is None:
        raise BadSize(f"Invalid containerPortRange {text!r}: write it as 8000-8010.")
    first, last = int(found[1]), int(found[2])
    if not 1 <= first < last <= LAST_PORT:
        raise BadSize(
            f"Invalid containerPortRange {text!r}: from 1 to {LAST_PORT}, the first port lower than the last one."
        )
    return range(first, last + 1)
