"""Filter patterns: what FilterLogEvents matches messages with.

Unstructured: ``ERROR``, ``"exact phrase"``, ``?any ?of ?these``, ``-not``; a term matches wherever it stands in the
message, upper and lower case apart. Structured: ``{ $.level = "error" && $.ms > 100 }``, see ``json_pattern``.
Regular expressions (``%…%``) and space-delimited patterns (``[…]``) are refused, not guessed at.
Source: "Filter pattern syntax" in the CloudWatch Logs user guide.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from kit.aws.errors import InvalidParameterException
from orchestrator.api.logs.json_pattern import parse_json_pattern

Matches = Callable[[str], bool]
_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))(?=\s|$)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """All of ``required``, at least one of ``optional`` if there are any, none of ``excluded``."""

    required: list[str] = field(default_factory=list)
    optional: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)

    def match(self, message: str) -> bool:
        return (
            all(term in message for term in self.required)
            # With a required term present, AWS ignores the optional ones.
            and (not self.optional or bool(self.required) or any(term in message for term in self.optional))
            and not any(term in message for term in self.excluded)
        )


def parse_pattern(pattern: str) -> Matches:
    """The test for a message. Raises InvalidParameterException for a pattern that cannot be read."""
    text = pattern.strip()
    if text.startswith("{"):
        return parse_json_pattern(text)
    if text.startswith("["):
        raise InvalidParameterException("Berth does not support space-delimited filter patterns ([…]).")
    return _parse_terms(text).match


def _parse_terms(text: str) -> Terms:
    terms = Terms()
    at = 0
    while at < len(text):
        read = _TERM.match(text, at)
        if read is None:
            raise InvalidParameterException(f"Invalid filter pattern: cannot read it from character {at + 1} on.")
        sign, quoted, plain = read.groups()
        if plain is not None and plain.startswith("%"):
            raise InvalidParameterException("Berth does not support regular expressions (%…%) in filter patterns.")
        term = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        {"": terms.required, "?": terms.optional, "-": terms.excluded}[sign].append(term)
        at = read.end()
    return terms
