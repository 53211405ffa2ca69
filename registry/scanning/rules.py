"""Rules: which images are scanned when. The registry's configuration, and of basic scanning each repository's own.

Source: Amazon ECR user guide, "Scan images for software vulnerabilities", and the API's ScanFrequency. Where several
rules match a repository the most watchful counts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kit.wildcards import matches_pattern
from state.images import Image
from state.registry_rules import SCANNING, get_rules
from state.repositories import Repository, get_repository, list_repositories
from state.scans import ask_for_scan, get_scan
from state.store import Session

BASIC, ENHANCED = "BASIC", "ENHANCED"
MANUAL, ON_PUSH, CONTINUOUS = "MANUAL", "SCAN_ON_PUSH", "CONTINUOUS_SCAN"
# Configurations of what holds a file system; of other artifacts there is nothing to scan.
IMAGE_CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_NOTHING: dict[str, Any] = {"scanType": BASIC, "rules": []}
# How signatures and bills of materials are tagged by those who know no referrers.
_ATTACHED = re.compile(r"sha(256|512)-[0-9a-f]{64,128}(\.\w+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequency:
    """How often a repository's images are scanned, and the filters that say so."""

    kind: str
    name: str
    filters: Sequence[Mapping[str, Any]]

    @property
    def on_push(self) -> bool:
        return self.name in (ON_PUSH, CONTINUOUS)


def scanning_rules(session: Session) -> dict[str, Any]:
    """The registry's scanning configuration: ``scanType`` and ``rules``."""
    return get_rules(session, SCANNING) or _NOTHING


def frequency_of(session: Session, repository: Repository) -> Frequency:
    """How often the repository's images are scanned."""
    rules = scanning_rules(session)
    kind = rules["scanType"]
    for name in (CONTINUOUS, ON_PUSH):
        matching = [
            each
            for rule in rules["rules"]
            if rule["scanFrequency"] == name
            for each in rule["repositoryFilters"]
            if matches(each["filter"], repository.name)
        ]
        if matching:
            return Frequency(kind=kind, name=name, filters=matching)
    own = kind == BASIC and bool(repository.scanning.get("scanOnPush"))
    return Frequency(kind=kind, name=ON_PUSH if own else MANUAL, filters=[])


def continuous_repositories(session: Session) -> list[str]:
    """The repositories whose images are scanned whenever something new is known."""
    if not any(rule["scanFrequency"] == CONTINUOUS for rule in scanning_rules(session)["rules"]):
        return []
    found, after = [], None
    while page := list_repositories(session, after=after, limit=1000):
        after = page[-1].name
        found += [each.name for each in page if frequency_of(session, each).name == CONTINUOUS]
    return found


def scan_pushed(session: Session, image: Image, tags: Sequence[str], *, now: datetime) -> None:
    """Have a pushed image scanned, where the rules say so; once, however many tags it is given."""
    if not is_scanned(image) or any(_ATTACHED.fullmatch(tag) for tag in tags):
        return
    repository = get_repository(session, image.repository)
    if repository is None:
        return
    frequency = frequency_of(session, repository)
    if frequency.on_push and get_scan(session, image.repository, image.digest) is None:
        ask_for_scan(session, image.repository, image.digest, frequency.kind, now=now)
        session.wake("scans")


def is_scanned(image: Image) -> bool:
    """Whether the manifest is of one image with a file system, and not beside another."""
    return image.subject is None and image.artifact_type in IMAGE_CONFIGS


def matches(pattern: str, name: str) -> bool:
    """Whether a filter, in which ``*`` stands for any characters, matches; one without any matches what holds it."""
    return matches_pattern(pattern if "*" in pattern else f"*{pattern}*", name)
