"""dpkg: ``var/lib/dpkg/status``, or the files of ``status.d`` in images without a shell.

Source: deb-control(5); dpkg(1), "Package states".
"""

import re
from collections.abc import Sequence

from registry.scanning.inventories.stanzas import read_stanzas
from registry.scanning.packages import DEB, Package

_SOURCE = re.compile(r"(\S+)(?:\s+\(([^)]*)\))?")


def read_status(body: bytes) -> Sequence[Package]:
    """The packages that are installed, not those of which only the configuration is left."""
    found = []
    for fields in read_stanzas(body.decode("utf-8", "replace")):
        name, version = fields.get("package"), fields.get("version")
        # Files of status.d tell no state: what is there is installed.
        state = fields.get("status", "install ok installed").split()
        if not name or not version or state[-1:] != ["installed"]:
            continue
        source = _SOURCE.match(fields.get("source", ""))
        found.append(
            Package(
                type=DEB,
                name=name,
                version=version,
                arch=fields.get("architecture", ""),
                source=source[1] if source else name,
                source_version=(source[2] if source else None) or version,
            )
        )
    return found
