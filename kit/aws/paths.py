"""Paths of REST operations: ``/v1/tags/{resourceArn}`` against what a client asked for, undecoded."""

from functools import cache
from urllib.parse import unquote

from kit.aws.errors import SerializationException


def match_path(template: str, path: str) -> dict[str, str] | None:
    """The labels of ``path`` under ``template``, decoded, or None when it does not match.

    ``{name+}`` takes the rest of the path, slashes and all; ``{name}`` one segment that is not empty.
    """
    wanted = _segments(template)
    given = path.split("/")[1:]
    greedy = bool(wanted) and wanted[-1].endswith("+}")
    if len(given) != len(wanted) and not (greedy and len(given) > len(wanted)):
        return None
    labels: dict[str, str] = {}
    for i, segment in enumerate(wanted):
        if not segment.startswith("{"):
            if given[i] != segment and unquote(given[i]) != segment:
                return None
        elif segment.endswith("+}"):
            labels[segment[1:-2]] = decode("/".join(given[i:]))
        elif given[i]:
            labels[segment[1:-1]] = decode(given[i])
        else:
            return None
    return labels


def decode(text: str) -> str:
    """Percent-decoding that insists on UTF-8."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise SerializationException("The path is not valid UTF-8") from None


@cache
def _segments(template: str) -> tuple[str, ...]:
    return tuple(template.partition("?")[0].split("/")[1:])
