"""The distribution: ``etc/os-release``. Source: os-release(5)."""

import shlex

from registry.scanning.packages import System

_LONGEST = 200


def read_os_release(body: bytes) -> System:
    """``ID``, ``VERSION_ID`` and ``PRETTY_NAME``; what cannot be read is left out."""
    fields: dict[str, str] = {}
    for line in body.decode("utf-8", "replace").splitlines():
        key, equals, value = line.strip().partition("=")
        if not equals or key.startswith("#"):
            continue
        try:
            words = shlex.split(value)
        except ValueError:
            continue
        fields[key] = (words[0] if words else "")[:_LONGEST]
    return System(
        id=fields.get("ID", "linux").lower(),
        version=fields.get("VERSION_ID", ""),
        name=fields.get("PRETTY_NAME") or fields.get("NAME", ""),
    )
