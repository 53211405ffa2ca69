"""Alpine's order of versions: ``1.2.3a_rc1_p2~hash-r4``. Source: apk-package(5), "pkgver"; apk-tools, src/version.c."""

import re
from typing import Any

from registry.scanning.versions.wrong import NotAVersion

_FORM = re.compile(
    r"(?P<digits>[0-9]+(?:\.[0-9]+)*)(?P<letter>[a-z]?)(?P<suffixes>(?:_[a-z]+[0-9]*)*)"
    r"(?P<hash>~[0-9a-f]+)?(?:-r(?P<revision>[0-9]+))?"
)
_SUFFIX = re.compile(r"_([a-z]+)([0-9]*)")
# Those before nothing at all are of versions not yet released.
_SUFFIXES = {
    "alpha": -4,
    "beta": -3,
    "pre": -2,
    "rc": -1,
    "cvs": 1,
    "svn": 2,
    "git": 3,
    "hg": 4,
    "p": 5,
}


def apk_key(version: str) -> tuple[Any, ...]:
    """A key that sorts as ``apk version -t`` does; raises NotAVersion."""
    found = _FORM.fullmatch(version.strip())
    suffixes = _SUFFIX.findall(found["suffixes"]) if found else []
    if found is None or any(name not in _SUFFIXES for name, _ in suffixes):
        raise NotAVersion(f"'{version[:100]}' is no version of Alpine")
    first, *rest = found["digits"].split(".")
    return (
        (int(first), *(_digits(part) for part in rest)),
        found["letter"],
        (*((_SUFFIXES[name], int(number or 0)) for name, number in suffixes), (0, 0)),
        int(found["revision"] or 0),
    )


def _digits(part: str) -> Any:
    """A part behind a dot; with a leading zero it is compared as a fraction is."""
    return (0, part) if part.startswith("0") else (1, int(part))
