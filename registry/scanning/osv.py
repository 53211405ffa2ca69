"""OSV: reading advisories as osv.dev and many distributions publish them. Source: OSV schema 1.7.

What is not needed to match packages and to show a finding is left out; what is longer than a sane advisory is cut or
refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

from registry.scanning.ecosystems import is_known
from registry.scanning.inventories.python import normal_name
from registry.scanning.severities import best_cvss, severity_of_score, severity_of_word
from state.vulnerabilities import LONGEST_ECOSYSTEM, LONGEST_ID, LONGEST_NAME

_LONGEST_TEXT = 4000
_LONGEST_URI = 1000
_LONGEST_VERSION = 300
_MOST_REFERENCES = 20
_MOST_VERSIONS = 50_000
_MOST_EVENTS = 2000
_EVENTS = ("introduced", "fixed", "last_affected", "limit")


class BadAdvisory(ValueError):
    """The document is no advisory; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Rows of ``state.vulnerabilities`` but for the bundle; ``packages`` are those of ecosystems known here."""

    id: str
    document: dict[str, Any]
    packages: Sequence[dict[str, Any]]
    modified_at: datetime | None


def read_advisory(document: Any) -> Read | None:
    """What an advisory says; None for one that was withdrawn. Raises BadAdvisory."""
    if not isinstance(document, dict):
        raise BadAdvisory("it is no JSON object")
    id = document.get("id")
    if not _is_name(id, LONGEST_ID):
        raise BadAdvisory("it has no id")
    if document.get("withdrawn"):
        return None
    packages = []
    for number, affected in enumerate(_list(document.get("affected"), "affected")):
        row = _affected(affected, id, number)
        if row is not None:
            packages.append(row)
    modified_at = _instant(document.get("modified"))
    cvss = best_cvss(_vectors(document.get("severity")))
    severity = severity_of_score(cvss.score) if cvss else _said(document)
    about = {
        "name": _name(id, document),
        "description": _text(document.get("summary")) or _text(document.get("details")),
        "severity": severity or "UNDEFINED",
        "cvss": {"version": cvss.version, "vector": cvss.vector, "score": cvss.score} if cvss else None,
        "uri": _uri(id, document),
        "references": _references(document),
        "aliases": [each for each in _list(document.get("aliases"), "aliases") if _is_name(each, LONGEST_ID)][:20],
        "published": _stamp(document.get("published")),
        "modified": _stamp(document.get("modified")),
    }
    return Read(id=id, document=about, packages=packages, modified_at=modified_at)


def _affected(affected: Any, id: str, number: int) -> dict[str, Any] | None:
    package = affected.get("package") if isinstance(affected, dict) else None
    if package is None:
        # Advisories may be about commits of a repository alone.
        return None
    if not isinstance(package, dict):
        raise BadAdvisory("an affected package is no JSON object")
    ecosystem, name = package.get("ecosystem"), package.get("name")
    if not (_is_name(ecosystem, LONGEST_ECOSYSTEM) and _is_name(name, LONGEST_NAME)):
        raise BadAdvisory("an affected package has no ecosystem or no name")
    if not is_known(ecosystem):
        return None
    versions = [each for each in _list(affected.get("versions"), "versions") if _is_name(each, _LONGEST_VERSION)]
    if len(versions) > _MOST_VERSIONS:
        raise BadAdvisory(f"it lists more than {_MOST_VERSIONS} versions")
    ranges = [_events(each) for each in _list(affected.get("ranges"), "ranges")]
    return {
        "ecosystem": ecosystem,
        "name": normal_name(name) if ecosystem == "PyPI" else name,
        "advisory": id,
        "number": number,
        "document": {
            "ranges": [events for events in ranges if events],
            "versions": versions,
            "severity": _own_severity(affected),
        },
    }


def _events(given: Any) -> list[dict[str, str]]:
    """The events of a range of versions; none of a range of commits."""
    if not isinstance(given, dict):
        raise BadAdvisory("a range is no JSON object")
    if given.get("type") not in ("SEMVER", "ECOSYSTEM"):
        return []
    events = []
    for event in _list(given.get("events"), "events"):
        if not isinstance(event, dict):
            raise BadAdvisory("an event of a range is no JSON object")
        events += [{kind: event[kind]} for kind in _EVENTS if _is_name(event.get(kind), _LONGEST_VERSION)]
    if len(events) > _MOST_EVENTS:
        raise BadAdvisory(f"a range has more than {_MOST_EVENTS} events")
    return events


def _own_severity(affected: Mapping[str, Any]) -> str | None:
    """What the distribution itself says of its package, which knows best how it is used there."""
    for part in ("ecosystem_specific", "database_specific"):
        said = affected.get(part)
        if isinstance(said, dict):
            word = severity_of_word(said.get("urgency")) or severity_of_word(said.get("severity"))
            if word is not None:
                return word
    given = _list(affected.get("severity"), "severity")
    words = (severity_of_word(each.get("score")) for each in given if isinstance(each, dict))
    word = next((each for each in words if each), None)
    if word is not None:
        return word
    cvss = best_cvss(_vectors(given))
    return severity_of_score(cvss.score) if cvss else None


def _said(document: Mapping[str, Any]) -> str | None:
    specific = document.get("database_specific")
    word = severity_of_word(specific.get("severity")) if isinstance(specific, dict) else None
    words = (severity_of_word(each.get("score")) for each in document.get("severity") or [] if isinstance(each, dict))
    return word or next((each for each in words if each), None)


def _vectors(given: Any) -> Iterable[Any]:
    return [each.get("score") for each in _list(given, "severity") if isinstance(each, dict)]


def _name(id: str, document: Mapping[str, Any]) -> str:
    """The CVE's number where the advisory is about exactly one, as people search for it; else its own id."""
    if id.startswith("CVE-"):
        return id
    given = [*_list(document.get("aliases"), "aliases"), *_list(document.get("upstream"), "upstream")]
    cves = {each for each in given if _is_name(each, LONGEST_ID) and each.startswith("CVE-")}
    return cves.pop() if len(cves) == 1 else id


def _uri(id: str, document: Mapping[str, Any]) -> str:
    given = _references(document, kinds=("ADVISORY",))
    return given[0] if given else f"https://osv.dev/vulnerability/{id}"


def _references(document: Mapping[str, Any], kinds: Sequence[str] = ()) -> list[str]:
    found = []
    for each in _list(document.get("references"), "references"):
        uri = each.get("url") if isinstance(each, dict) else None
        if _is_name(uri, _LONGEST_URI) and (not kinds or each.get("type") in kinds):
            found.append(uri)
    return found[:_MOST_REFERENCES]


def _list(given: Any, member: str) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise BadAdvisory(f"its {member} are no list")
    return given


def _is_name(given: Any, longest: int) -> TypeGuard[str]:
    return isinstance(given, str) and 0 < len(given) <= longest and given.isprintable()


def _text(given: Any) -> str:
    """A text without what no database takes."""
    if not isinstance(given, str):
        return ""
    return given[:_LONGEST_TEXT].replace("\0", "").encode("utf-8", "replace").decode()


def _instant(given: Any) -> datetime | None:
    if not isinstance(given, str):
        return None
    try:
        at = datetime.fromisoformat(given)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _stamp(given: Any) -> str | None:
    at = _instant(given)
    return None if at is None else at.isoformat()
