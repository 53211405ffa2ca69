"""Python's order of versions. Source: packaging.python.org, "Version specifiers" (PEP 440)."""

import re
from typing import Any

from registry.scanning.versions.wrong import NotAVersion

_FORM = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_number>\d*))?"
    r"(?:-(?P<post_implied>\d+)|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_number>\d*))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_number>\d*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?"
)
_PRE = {"alpha": 1, "a": 1, "beta": 2, "b": 2, "c": 3, "rc": 3, "pre": 3, "preview": 3}
_NEVER, _ALWAYS = float("-inf"), float("inf")


def pep440_key(version: str) -> tuple[Any, ...]:
    """A key that sorts as PEP 440 asks; raises NotAVersion."""
    found = _FORM.fullmatch(version.strip().lower())
    if found is None:
        raise NotAVersion(f"'{version[:100]}' is no version of a Python project")
    release = [int(part) for part in found["release"].split(".")]
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    post = found["post_implied"] or (found["post_number"] or "0" if found["post"] else None)
    dev = (found["dev_number"] or "0") if found["dev"] else None
    if found["pre"]:
        pre: tuple[float, int] = (_PRE[found["pre"]], int(found["pre_number"] or 0))
    elif dev is not None and post is None:
        # 1.0.dev1 comes before 1.0a1.
        pre = (_NEVER, 0)
    else:
        pre = (_ALWAYS, 0)
    return (
        int(found["epoch"] or 0),
        tuple(release),
        pre,
        _NEVER if post is None else int(post),
        _ALWAYS if dev is None else int(dev),
        _local(found["local"]),
    )


def _local(text: str | None) -> tuple[tuple[int, int, str], ...]:
    if text is None:
        return ()
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"[-_.]", text))
