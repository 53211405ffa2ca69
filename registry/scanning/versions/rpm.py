"""rpm's order of versions, ``[epoch:]version[-release]``. Source: rpm-version(7); rpmio/rpmvercmp.c."""

import re
from typing import Any

from registry.scanning.versions.wrong import NotAVersion

_FORM = re.compile(r"(?:(\d+):)?([^\s:-][^\s:-]*)(?:-([^\s:-]+))?")
_SEGMENT = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")
# What ends early is older than what goes on, unless it goes on with a tilde; a caret is between.
_TILDE, _END, _CARET, _LETTERS, _DIGITS = range(5)


def rpm_key(version: str) -> tuple[Any, ...]:
    """A key that sorts as rpm does; raises NotAVersion. A version without a release is before all its releases."""
    found = _FORM.fullmatch(version.strip())
    if found is None:
        raise NotAVersion(f"'{version[:100]}' is no version of an rpm package")
    return int(found[1] or 0), _segments(found[2]), _segments(found[3]) if found[3] else ()


def _segments(text: str) -> tuple[tuple[Any, ...], ...]:
    return (*(_segment(match[0]) for match in _SEGMENT.finditer(text)), (_END,))


def _segment(text: str) -> tuple[Any, ...]:
    if text == "~":
        return (_TILDE,)
    if text == "^":
        return (_CARET,)
    return (_DIGITS, int(text)) if text.isdigit() else (_LETTERS, text)
