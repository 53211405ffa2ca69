"""Findings: vulnerabilities of an image's packages, as values that are kept as JSON, whoever found them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from registry.scanning.ecosystems import ecosystems_of, names_of
from registry.scanning.matching import fixed_version, is_affected
from registry.scanning.packages import Inventory, Package
from registry.scanning.severities import rank
from state.store import Session
from state.vulnerabilities import advisories_of, affected_packages, covers, current_bundles

MOST = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One vulnerability of one package; ``cvss`` is ``version``, ``vector`` and ``score``."""

    name: str
    severity: str
    package: str
    version: str
    type: str
    fixed: str | None = None
    description: str = ""
    uri: str = ""
    cvss: Mapping[str, Any] | None = None
    advisory: str = ""
    aliases: Sequence[str] = ()
    references: Sequence[str] = ()
    published: str | None = None
    modified: str | None = None
    arch: str = ""
    path: str = ""
    layer: str = ""

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What is known of an inventory: the findings, the worst first; from what, and how fresh that is.

    ``lacking`` counts packages in worlds that nothing is known of; ``told`` is whether anything is known of any.
    """

    findings: Sequence[Finding]
    source: str
    fresh_at: datetime | None
    lacking: Mapping[str, int] = field(default_factory=dict)
    told: bool = True


def match_inventory(session: Session, inventory: Inventory) -> Knowledge:
    """What the current bundles say of the packages, on one view of the store."""
    current = current_bundles(session)
    bundles = [bundle.id for bundle in current]
    by_type: dict[str, list[Package]] = {}
    for package in inventory.packages:
        by_type.setdefault(package.type, []).append(package)
    found: list[Finding] = []
    lacking: dict[str, int] = {}
    for type, packages in by_type.items():
        ecosystems = ecosystems_of(type, inventory.system)
        if not bundles or not ecosystems or not covers(session, bundles, ecosystems):
            lacking[ecosystems[0] if ecosystems else f"{type} packages"] = len(packages)
        else:
            found += _match(session, bundles, ecosystems, packages)
    return Knowledge(
        findings=worst_first(found),
        source=knowledge_of(bundles),
        fresh_at=max((bundle.modified_at for bundle in current if bundle.modified_at), default=None),
        lacking=lacking,
        told=not by_type or len(lacking) < len(by_type),
    )


def knowledge_of(bundles: Iterable[int]) -> str:
    """The bundles in one word: while it is the same, a scan finds the same."""
    return "osv:" + ",".join(map(str, sorted(bundles)))


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Each vulnerability of a package once, as the gravest of those who told of it has it."""
    ordered = sorted(
        findings,
        key=lambda each: (rank(each.severity), each.name, each.package, each.version, not each.fixed, each.path),
    )
    found: dict[tuple[str, str, str], Finding] = {}
    for each in ordered:
        found.setdefault((each.name, each.package, each.version), each)
    return list(found.values())[:MOST]


def _match(
    session: Session, bundles: Sequence[int], ecosystems: Sequence[str], packages: Iterable[Package]
) -> list[Finding]:
    by_name: dict[str, dict[str, Package]] = {}
    for package in packages:
        for name, version in names_of(package):
            by_name.setdefault(name, {}).setdefault(version, package)
    hits = [
        (affected, version, package)
        for affected in affected_packages(session, bundles, ecosystems, by_name)
        for version, package in by_name[affected.name].items()
        if is_affected(affected.ecosystem, version, affected.document)
    ]
    about = advisories_of(session, ((affected.bundle, affected.advisory) for affected, _, _ in hits))
    found = []
    for affected, version, package in hits:
        said = about[affected.bundle, affected.advisory]
        found.append(
            Finding(
                name=said["name"],
                severity=affected.document["severity"] or said["severity"],
                package=affected.name,
                version=version,
                type=package.type,
                fixed=fixed_version(affected.ecosystem, version, affected.document),
                description=said["description"],
                uri=said["uri"],
                cvss=said["cvss"],
                advisory=affected.advisory,
                aliases=said["aliases"],
                references=said["references"],
                published=said["published"],
                modified=said["modified"],
                arch=package.arch,
                path=package.path,
                layer=package.layer,
            )
        )
    return found
