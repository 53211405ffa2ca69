"""Words of a cluster query: a place in the expression, and what stands there.

Whoever reads asks for what may come next, since an unquoted pattern, a list and a subject end in different places.
Every mistake is a BadQuery with its position.
"""

import re
from collections.abc import Iterable

_SPACE = re.compile(r"\s*")
_KEYWORD = re.compile(r"(?:&&|\|\||(?:and|or|not)(?![\w:.@/\\-]))", re.IGNORECASE | re.ASCII)
_SUBJECT = re.compile(r"[A-Za-z][\w:]*", re.ASCII)
_NAME = re.compile(r"[\w./\\-]{1,128}", re.ASCII)
_VALUE = re.compile(r"""(?:(?!&&|\|\|)[^\s()\[\],'"])+""")
_NO_VALUE = "=<>!~&|"
_SHOWN = 40


class BadQuery(ValueError):
    """A cluster query that does not parse; ``position`` counts from 0, and the text names it."""

    def __init__(self, position: int, text: str) -> None:
        super().__init__(f"at position {position}: {text}")
        self.position = position


class Words:
    """An expression and a position in it that only moves on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> int:
        """Pass over white space; the position after it."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at

    def keyword(self, *spellings: str) -> bool:
        """Take one of ``and``/``&&``, ``or``/``||``, ``not`` if it comes next."""
        found = _KEYWORD.match(self.text, self.skip())
        if found is None or found[0].lower() not in spellings:
            return False
        self.at = found.end()
        return True

    def mark(self, mark: str) -> bool:
        """Take a mark like ``(`` if it comes next."""
        if not self.text.startswith(mark, self.skip()):
            return False
        self.at += len(mark)
        return True

    def subject(self, known: Iterable[str]) -> str:
        """Take one of the known subjects; of ``attribute:NAME`` only ``attribute``."""
        start = self.skip()
        found = _SUBJECT.match(self.text, start)
        word = found[0] if found else ""
        chosen = "attribute" if word.startswith("attribute:") else word
        if chosen not in known:
            names = ", ".join("attribute:NAME" if name == "attribute" else name for name in known)
            raise self.expected(f"a subject ({names}), not or (")
        self.at = start + len(chosen)
        return chosen

    def name(self) -> str:
        """Take ``:NAME`` right after ``attribute``."""
        if not self.text.startswith(":", self.at):
            raise self.expected("attribute:NAME", self.at)
        found = _NAME.match(self.text, self.at + 1)
        if found is None:
            raise self.expected("an attribute's name", self.at + 1)
        self.at = found.end()
        return found[0]

    def operator(self, spellings: re.Pattern[str], allowed: str) -> str:
        """Take an operator, as it is spelled."""
        found = spellings.match(self.text, self.skip())
        if found is None:
            raise self.expected(f"an operator ({allowed})")
        self.at = found.end()
        return found[0]

    def value(self) -> tuple[int, str]:
        """Take a value, quoted or not; where it begins, and the value."""
        start = self.skip()
        if self.text[start : start + 1] in ("'", '"'):
            return self._quoted(start)
        found = _VALUE.match(self.text, start)
        if found is None or found[0][0] in _NO_VALUE or _KEYWORD.match(self.text, start):
            raise self.expected("a value")
        self.at = found.end()
        return start, found[0]

    def pattern(self) -> tuple[int, str]:
        """Take a regular expression: quoted, or up to white space or a bracket that it did not open."""
        start = self.skip()
        if self.text[start : start + 1] in ("'", '"'):
            return self._quoted(start)
        open_groups, in_class, at = 0, False, start
        while at < len(self.text) and not self.text[at].isspace():
            character = self.text[at]
            if character == "\\":
                at += 1
            elif in_class:
                in_class = character != "]"
            elif character == "[":
                in_class = True
            elif character == "(":
                open_groups += 1
            elif character == ")":
                open_groups -= 1
            if open_groups < 0 or (not open_groups and not in_class and self.text.startswith(("&&", "||"), at)):
                break
            at += 1
        self.at = min(at, len(self.text))
        if self.at == start:
            raise self.expected("a regular expression", start)
        return start, self.text[start : self.at]

    def expected(self, what: str, position: int | None = None) -> BadQuery:
        """The mistake that something else stands here."""
        at = self.skip() if position is None else position
        return BadQuery(at, f"expected {what}, found {self._found(at)}")

    def _quoted(self, start: int) -> tuple[int, str]:
        end = self.text.find(self.text[start], start + 1)
        if end < 0:
            raise BadQuery(start, f"expected the quote {self.text[start]} to be closed, found the end")
        self.at = end + 1
        return start + 1, self.text[start + 1 : end]

    def _found(self, at: int) -> str:
        if at >= len(self.text):
            return "the end"
        word = re.compile(r"[\w:.@/\\-]+|&&|\|\||[!=<>~]+|.", re.ASCII | re.DOTALL).match(self.text, at)
        return shown(word[0] if word else self.text[at])


def shown(text: str) -> str:
    """The text in quotes, cut where it is longer than anybody reads."""
    return f"'{text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}'"
