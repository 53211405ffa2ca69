"""Semantic versions, as npm has them. Source: semver.org 2.0.0, 11."""

import re
from typing import Any

from registry.scanning.versions.wrong import NotAVersion

_FORM = re.compile(r"[v=\s]*(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]*)?")


def semver_key(version: str) -> tuple[Any, ...]:
    """A key that sorts by precedence; parts that are missing are zero. Raises NotAVersion."""
    found = _FORM.fullmatch(version.strip())
    if found is None:
        raise NotAVersion(f"'{version[:100]}' is no semantic version")
    numbers = tuple(int(part or 0) for part in found.group(1, 2, 3))
    if found[4] is None:
        # A release comes after everything that led to it.
        return numbers, 1, ()
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in found[4].split(".")]
    return numbers, 0, tuple(parts)
