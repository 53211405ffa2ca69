"""Versions: which of two comes first, in each ecosystem's own order. One file an order; each answers a sort key.

Keys are made of texts that anybody may have written; a text that is no version raises NotAVersion.
"""

from collections.abc import Callable
from typing import Any

from registry.scanning.versions.apk import apk_key
from registry.scanning.versions.dpkg import dpkg_key
from registry.scanning.versions.pep440 import pep440_key
from registry.scanning.versions.rpm import rpm_key
from registry.scanning.versions.semver import semver_key
from registry.scanning.versions.wrong import LONGEST, NotAVersion

__all__ = ["KEYS", "NotAVersion", "key_of"]

# By the ecosystem's name without what stands behind its colon, as OSV has them.
KEYS: dict[str, Callable[[str], Any]] = {
    "Debian": dpkg_key,
    "Ubuntu": dpkg_key,
    "Echo": dpkg_key,
    "Alpine": apk_key,
    "Wolfi": apk_key,
    "Chainguard": apk_key,
    "MinimOS": apk_key,
    "Alpaquita": apk_key,
    "BellSoft Hardened Containers": apk_key,
    "AlmaLinux": rpm_key,
    "Rocky Linux": rpm_key,
    "Red Hat": rpm_key,
    "SUSE": rpm_key,
    "openSUSE": rpm_key,
    "Mageia": rpm_key,
    "openEuler": rpm_key,
    "Azure Linux": rpm_key,
    "Photon OS": rpm_key,
    "Amazon Linux": rpm_key,
    "Fedora": rpm_key,
    "Oracle Linux": rpm_key,
    "PyPI": pep440_key,
    "npm": semver_key,
}


def key_of(ecosystem: str, version: str) -> Any:
    """The sort key of a version in an ecosystem; raises NotAVersion, also for an ecosystem not known."""
    make = KEYS.get(ecosystem.partition(":")[0])
    if make is None:
        raise NotAVersion(f"nobody knows here how versions of {ecosystem[:100]} are ordered")
    if len(version) > LONGEST:
        raise NotAVersion("a version has 512 characters at most")
    return make(version)
