"""Model patterns are Java regular expressions that must match the whole value; here they become Python ones.

``\\w``, ``\\d`` and ``\\s`` stay ASCII as in Java, ``\\p{L}`` and its kin become ranges, supplementary characters that
models spell as surrogates or as five hexadecimal digits become what was meant. A pattern known to backtrack without
bounds is replaced by an equal one that does not.
"""

import re
import unicodedata
from functools import cache
from itertools import groupby

LONGEST_MATCHED = 65536
"""Values beyond this many characters fail a pattern without being looked at."""

_SUPPLEMENTARY = r"\U00010000-\U0010FFFF"
_SPELLED_OTHERWISE = (
    (r"\uD800\uDC00-\uDBFF\uDFFF", _SUPPLEMENTARY),
    (r"\u10000-\u10FFFF", _SUPPLEMENTARY),
)
_SAFE = {
    # Each group may begin with any character the one before it ended with: 2^n ways to read n letters.
    r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$": r"[a-z0-9*]+(?:[._\-/][a-z0-9*]+)*",
    # A whole-value look-ahead with nested runs: no edge blanks, no control characters, no colon, slash or bar.
    r"(?!((^[ ]+.*)|(.*([\u0000-\u001f]|[\u007f-\u009f]|[:/|])+.*)|(.*[ ]+$))).+": (
        r"(?! )[^\u0000-\u001f\u007f-\u009f:/|\u2028\u2029]+(?<! )"
    ),
    r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$": r"[ \t]*[\x20-\x7E][\x20-\x7E\t]*",
    r"^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$": r"[ \t]*[^\x00-\x1F:\x7F](?:[^\x00-\x1F:\x7F]|\t)*",
}
_PIECE = re.compile(r"\\[pP]\{\w+\}|\\.|.", re.DOTALL)
_CLASSES = frozenset((r"\w", r"\W", r"\d", r"\D", r"\s", r"\S"))
_POSIX = {"Print": r"\x20-\x7E", "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9", "ASCII": r"\x00-\x7F"}


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The Python pattern to use with ``fullmatch``."""
    return re.compile(_translated(_SAFE.get(pattern, pattern)), re.ASCII)


def matches(compiled: re.Pattern[str], value: str) -> bool:
    """Whether all of ``value`` matches, values beyond ``LONGEST_MATCHED`` never doing so."""
    return len(value) <= LONGEST_MATCHED and compiled.fullmatch(value) is not None


def _translated(pattern: str) -> str:
    for spelled, meant in _SPELLED_OTHERWISE:
        pattern = pattern.replace(spelled, meant)
    out: list[str] = []
    in_class, before = False, ""
    pieces = _PIECE.findall(pattern)
    for piece, after in zip(pieces, [*pieces[1:], ""], strict=True):
        if piece[:2] in ("\\p", "\\P"):
            out.append(_property(piece, in_class=in_class))
        elif not in_class:
            in_class = piece == "["
            out.append(piece)
        elif piece == "]":
            in_class = False
            out.append(piece)
        elif piece == "-" and before in _CLASSES and after != "]":
            # Java reads a hyphen after a class of characters as itself; Python would see a broken range.
            out.append("\\-")
        elif piece == "[" or (piece in "&|~" and piece == before):
            # Python may one day read these as nested sets and set operations, and warns of it now.
            out.append("\\" + piece)
        else:
            out.append(piece)
        before = piece
    return "".join(out)


def _property(piece: str, *, in_class: bool) -> str:
    ranges = _ranges(piece[3:-1].removeprefix("Is"))
    if not in_class:
        return f"[{'^' if piece[1] == 'P' else ''}{ranges}]"
    if piece[1] == "P":
        raise ValueError(f"{piece} inside a class is not supported")
    return ranges


@cache
def _ranges(name: str) -> str:
    if name in _POSIX:
        return _POSIX[name]
    chosen = (code for code in range(0x110000) if unicodedata.category(chr(code)).startswith(name))
    runs = []
    for _, run in groupby(enumerate(chosen), key=lambda pair: pair[1] - pair[0]):
        codes = [code for _, code in run]
        runs.append(f"\\U{codes[0]:08x}-\\U{codes[-1]:08x}")
    if not runs:
        raise ValueError(f"unknown Unicode property {name}")
    return "".join(runs)
