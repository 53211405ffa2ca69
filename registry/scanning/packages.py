"""Packages: what an inventory consists of, as plain values that are kept as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

# Changed when inventories made before are no longer what would be found: images are then read anew.
FORM = 1
DEB, APK, RPM, PYPI, NPM = "deb", "apk", "rpm", "pypi", "npm"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Package:
    """One installed package. ``source`` is what it was built from, where its package manager tells."""

    type: str
    name: str
    version: str
    arch: str = ""
    source: str = ""
    source_version: str = ""
    license: str = ""
    # The file that says so, and the digest of the layer it is in.
    path: str = ""
    layer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The distribution, as etc/os-release tells it: ``ID``, ``VERSION_ID`` and ``PRETTY_NAME``."""

    id: str = ""
    version: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What was found in an image, sorted; ``notes`` tell what could not be read."""

    system: System | None
    packages: Sequence[Package]
    notes: Sequence[str] = ()

    def document(self) -> dict[str, Any]:
        """As JSON, with rows in place of objects, since there may be tens of thousands."""
        return {
            "form": FORM,
            "system": asdict(self.system) if self.system else None,
            "columns": [field.name for field in fields(Package)],
            "packages": [[getattr(package, field.name) for field in fields(Package)] for package in self.packages],
            "notes": list(self.notes),
        }


def read_inventory(document: Mapping[str, Any] | None) -> Inventory | None:
    """The inventory of a document; None where there is none of today's form."""
    if not document or document["form"] != FORM:
        return None
    system = document["system"]
    return Inventory(
        system=System(**system) if system else None,
        packages=[Package(**dict(zip(document["columns"], row, strict=True))) for row in document["packages"]],
        notes=document["notes"],
    )
