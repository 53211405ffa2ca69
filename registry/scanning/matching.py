"""Matching: which vulnerabilities a version of a package has. Source: OSV schema, "Evaluation"."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from registry.scanning.versions import NotAVersion, key_of

_cached_key = lru_cache(maxsize=65536)(key_of)
# Events at the same version: what ends a range, then what begins one.
_ORDER = {"fixed": 0, "limit": 0, "last_affected": 2, "introduced": 1}


def is_affected(ecosystem: str, version: str, document: Mapping[str, Any]) -> bool:
    """Whether ``ranges`` or ``versions`` of an advisory hold the version. What is no version is in no range."""
    if version in document["versions"]:
        return True
    key = _key(ecosystem, version)
    return key is not None and any(_is_within(ecosystem, key, events) for events in document["ranges"])


def fixed_version(ecosystem: str, version: str, document: Mapping[str, Any]) -> str | None:
    """The first later version in which it is fixed, where the advisory tells one."""
    key = _key(ecosystem, version)
    fixes = [event["fixed"] for events in document["ranges"] for event in events if "fixed" in event]
    known = [(at, fix) for at, fix in ((_key(ecosystem, fix), fix) for fix in fixes) if at is not None]
    later = [(at, fix) for at, fix in known if key is None or at > key]
    return min(later, key=lambda each: each[0])[1] if later else None


def _is_within(ecosystem: str, key: Any, events: Sequence[Mapping[str, str]]) -> bool:
    inside = False
    for kind, at in _sorted(ecosystem, events):
        if kind == "introduced" and (at is None or key >= at):
            inside = True
        elif (kind in ("fixed", "limit") and key >= at) or (kind == "last_affected" and key > at):
            inside = False
    return inside


def _sorted(ecosystem: str, events: Sequence[Mapping[str, str]]) -> list[tuple[str, Any]]:
    """Kind and key of each event, ascending; None is the key of the beginning. Events that are no versions are left
    out, but for a beginning: what nobody can compare is rather told than missed."""
    first: list[tuple[str, Any]] = []
    rest: list[tuple[str, Any]] = []
    for event in events:
        for kind, version in event.items():
            at = None if kind == "introduced" and version == "0" else _key(ecosystem, version)
            if at is not None:
                rest.append((kind, at))
            elif kind == "introduced":
                first.append((kind, None))
    return first + sorted(rest, key=lambda each: (each[1], _ORDER[each[0]]))


def _key(ecosystem: str, version: str) -> Any:
    try:
        return _cached_key(ecosystem, version)
    except NotAVersion:
        return None
