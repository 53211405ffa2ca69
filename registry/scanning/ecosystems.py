"""Ecosystems: what OSV calls the world a package lives in. Source: OSV schema, "affected[].package field"."""

from registry.scanning.packages import APK, DEB, NPM, PYPI, RPM, Package, System
from registry.scanning.versions import KEYS

# Streams of Red Hat's products, as its advisories name them behind ``enterprise_linux:9::``.
_RED_HAT = ("baseos", "appstream", "crb", "highavailability", "resilientstorage", "nfv", "realtime", "supplementary")


def ecosystems_of(type: str, system: System | None) -> tuple[str, ...]:
    """The names under which advisories for such packages of such a system stand; none where nobody writes any."""
    if type == PYPI:
        return ("PyPI",)
    if type == NPM:
        return ("npm",)
    if system is None:
        return ()
    major = system.version.partition(".")[0]
    match type, system.id:
        case "deb", "debian":
            return (f"Debian:{major}", "Debian")
        case "deb", "ubuntu":
            return (f"Ubuntu:{system.version}:LTS", f"Ubuntu:{system.version}", "Ubuntu")
        case "apk", "alpine":
            return (f"Alpine:v{'.'.join(system.version.split('.')[:2])}", "Alpine")
        case "apk", "wolfi":
            return ("Wolfi",)
        case "apk", "chainguard":
            return ("Chainguard", "Wolfi")
        case "apk", "minimos":
            return ("MinimOS",)
        case "rpm", "rocky":
            return (f"Rocky Linux:{major}", "Rocky Linux")
        case "rpm", "almalinux":
            return (f"AlmaLinux:{major}", "AlmaLinux")
        case "rpm", "rhel":
            return (*(f"Red Hat:enterprise_linux:{major}::{stream}" for stream in _RED_HAT), "Red Hat")
        case "rpm", "opensuse-leap":
            return (f"openSUSE:Leap {system.version}", "openSUSE")
        case "rpm", "opensuse-tumbleweed":
            return ("openSUSE:Tumbleweed", "openSUSE")
        case "rpm", "sles" | "sled":
            release = system.version.replace(".", " SP")
            products = ("Linux Enterprise Server", "Linux Enterprise Module for Basesystem")
            return tuple(f"SUSE:{product} {release}" for product in products)
        case "rpm", "mageia":
            return (f"Mageia:{major}",)
        case "rpm", "azurelinux":
            return (f"Azure Linux:{major}",)
        case "rpm", "photon":
            return (f"Photon OS:{system.version}",)
        case _:
            return ()


def names_of(package: Package) -> tuple[tuple[str, str], ...]:
    """The names and versions under which advisories may be about the package.

    Distributions of dpkg and apk write about what a package was built from; those of rpm do both.
    """
    if package.type in (DEB, APK):
        return ((package.source, package.source_version),)
    if package.type == RPM:
        both = ((package.name, package.version), (package.source, package.source_version))
        return tuple(dict.fromkeys(both))
    return ((package.name, package.version),)


def is_known(ecosystem: str) -> bool:
    """Whether packages of the ecosystem are found in images, so that its advisories are of use."""
    return ecosystem.partition(":")[0] in KEYS
