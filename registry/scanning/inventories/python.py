"""Python: ``METADATA`` of dist-info folders and ``PKG-INFO`` of egg-info.

Source: packaging.python.org, "Core metadata specifications".
"""

import re
from collections.abc import Sequence

from registry.scanning.inventories.stanzas import read_stanzas
from registry.scanning.limits import Unreadable
from registry.scanning.packages import PYPI, Package

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def read_metadata(body: bytes) -> Sequence[Package]:
    """The one package the file is of; raises Unreadable."""
    fields = next(read_stanzas(body.decode("utf-8", "replace")), {})
    name, version = fields.get("name", ""), fields.get("version", "")
    if not _NAME.fullmatch(name) or not version:
        raise Unreadable("it tells no name or no version")
    license = fields.get("license-expression") or fields.get("license", "")
    return [Package(type=PYPI, name=normal_name(name), version=version, license=license[:200])]


def normal_name(name: str) -> str:
    """The one spelling of a project's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
