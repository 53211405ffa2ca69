"""The bill of materials: an inventory as CycloneDX 1.5, the same bytes for the same image whenever it is made.

It carries no time and no serial number for that reason. Source: cyclonedx.org, "CycloneDX v1.5 JSON reference";
package-url/purl-spec, "PURL types".
"""

import json
from typing import Any
from urllib.parse import quote

from registry.manifests import OCI_MANIFEST
from registry.names import digest_of
from registry.scanning.packages import DEB, NPM, PYPI, RPM, Inventory, Package, System

MEDIA_TYPE = "application/vnd.cyclonedx+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"
# What other scanners read the origin of a distribution's package from.
_ORIGIN = ("aquasecurity:trivy:SrcName", "aquasecurity:trivy:SrcVersion")


def render_sbom(inventory: Inventory, *, repository: str, digest: str) -> bytes:
    """The document of an image's packages."""
    components = [_component(package, inventory.system, number) for number, package in enumerate(inventory.packages, 1)]
    if inventory.system is not None:
        system = inventory.system
        components.insert(
            0,
            {
                "type": "operating-system",
                "bom-ref": "system",
                "name": system.id,
                "version": system.version,
                "description": system.name,
            },
        )
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "berth"}]},
            "component": {
                "type": "container",
                "bom-ref": "image",
                "name": repository,
                "version": digest,
                "purl": f"pkg:oci/{quote(repository.rpartition('/')[2], safe='')}@{quote(digest, safe='')}",
            },
        },
        "components": components,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode()


def render_sbom_manifest(sbom: bytes, subject: dict[str, Any]) -> bytes:
    """The manifest that puts the document beside the image that ``subject`` describes."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": MEDIA_TYPE,
        "config": {"mediaType": EMPTY_TYPE, "digest": digest_of(EMPTY), "size": len(EMPTY)},
        "layers": [{"mediaType": MEDIA_TYPE, "digest": digest_of(sbom), "size": len(sbom)}],
        "subject": subject,
    }
    return json.dumps(manifest, separators=(",", ":")).encode()


def purl_of(package: Package, system: System | None) -> str:
    """The package's URL, such as ``pkg:deb/debian/bash@5.2.15-2?arch=amd64&distro=debian-12``."""
    version = quote(package.version, safe="~.-_")
    if package.type == PYPI:
        return f"pkg:pypi/{package.name}@{version}"
    if package.type == NPM:
        return f"pkg:npm/{quote(package.name, safe='/')}@{version}"
    id = system.id if system is not None else "unknown"
    said = {}
    if package.type == RPM and ":" in package.version:
        said["epoch"], _, rest = package.version.partition(":")
        version = quote(rest, safe="~.-_^")
    if package.arch:
        said["arch"] = package.arch
    if system is not None:
        said["distro"] = f"{system.id}-{system.version}"
    qualifiers = "&".join(f"{key}={quote(value, safe='.-_')}" for key, value in sorted(said.items()))
    name = package.name.lower() if package.type == DEB else package.name
    return f"pkg:{package.type}/{quote(id, safe='')}/{quote(name, safe='')}@{version}?{qualifiers}".rstrip("?")


def _component(package: Package, system: System | None, number: int) -> dict[str, Any]:
    said = {"berth:path": package.path, "berth:layer": package.layer}
    if package.source:
        said |= dict(zip(_ORIGIN, (package.source, package.source_version), strict=True))
    component = {
        "type": "library",
        "bom-ref": f"package-{number}",
        "name": package.name,
        "version": package.version,
        "purl": purl_of(package, system),
        "properties": [{"name": key, "value": value} for key, value in sorted(said.items()) if value],
    }
    if package.license:
        component["licenses"] = [{"license": {"name": package.license}}]
    return component
