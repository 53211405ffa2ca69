"""Which destinations an image goes to. Source: Amazon ECR user guide, "Private image replication"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Destination:
    """A registry: of an account, in a region."""

    region: str
    account: str


def destinations_of(rules: Sequence[Mapping[str, Any]], repository: str) -> list[Destination]:
    """Where the repository's images go, each destination once; a rule without filters is for all repositories."""
    found = {
        destination
        for rule in rules
        if _covers(rule, repository)
        for destination in (read_destination(each) for each in rule["destinations"])
    }
    return sorted(found)


def all_destinations(rules: Sequence[Mapping[str, Any]]) -> list[Destination]:
    """Every destination that some rule names."""
    return sorted({read_destination(each) for rule in rules for each in rule["destinations"]})


def read_destination(given: Mapping[str, Any]) -> Destination:
    return Destination(region=given["region"], account=given["registryId"])


def _covers(rule: Mapping[str, Any], repository: str) -> bool:
    filters = rule.get("repositoryFilters") or ()
    return not filters or any(repository.startswith(each["filter"]) for each in filters)
