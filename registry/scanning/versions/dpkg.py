"""Debian's order of versions. Source: Debian Policy 5.6.12; deb-version(7)."""

import re
from typing import Any

from registry.scanning.versions.wrong import NotAVersion

_FORM = re.compile(r"(?:(\d+):)?([A-Za-z0-9.+~:_-]*?)(?:-([A-Za-z0-9+.~_]*))?")
# A run of what is no digit, then a run of digits; both may be empty, but not together.
_RUN = re.compile(r"([^0-9]*)([0-9]*)")
_NOTHING = ((0,), 0)


def dpkg_key(version: str) -> tuple[Any, ...]:
    """A key that sorts as ``dpkg --compare-versions`` does; raises NotAVersion."""
    found = _FORM.fullmatch(version.strip())
    if found is None or not found[2]:
        raise NotAVersion(f"'{version[:100]}' is no version of Debian")
    return int(found[1] or 0), _runs(found[2]), _runs(found[3] or "")


def _runs(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    runs = [(_order(match[1]), int(match[2] or 0)) for match in _RUN.finditer(text)]
    while runs and runs[-1] == _NOTHING:
        runs.pop()
    # A text goes on with nothing for ever, and no revision is the revision 0.
    return (*runs, _NOTHING, _NOTHING)


def _order(letters: str) -> tuple[int, ...]:
    """Tilde before the end, the end before letters, letters before everything else."""
    return (*(-1 if one == "~" else ord(one) if one.isalpha() else ord(one) + 256 for one in letters), 0)
