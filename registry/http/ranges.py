"""Ranges: which parts of a blob a Range header asks for. Source: RFC 9110, section 14."""

import re
from dataclasses import dataclass

# Bounds what one request can make of a blob; more are not honoured, and the client gets the whole.
MOST_RANGES = 32
_SET = re.compile(r"bytes[ \t]*=(.*)", re.IGNORECASE | re.DOTALL)
_SPEC = re.compile(r"([0-9]*)-([0-9]*)")
# Of positions; more of them are beyond the end of everything.
_MOST_DIGITS = 18


class Unsatisfiable(Exception):
    """None of the ranges lies within the content, or one of them ends before it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Bytes from ``first`` to ``last``, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def read_ranges(header: str, size: int) -> list[Part]:
    """The parts asked for of ``size`` bytes, in the order asked; none when the header is to be ignored.

    Parts that overlap become one. Raises Unsatisfiable.
    """
    found = _SET.fullmatch(header.strip())
    if found is None:
        return []
    specs = [spec.strip() for spec in found[1].split(",")]
    # A list may have empty members, which mean nothing.
    ranges = [_SPEC.fullmatch(spec) for spec in specs if spec]
    if not ranges or len(specs) > MOST_RANGES or None in ranges:
        return []
    parts = [_part(each[1], each[2], size) for each in ranges if each is not None]
    within = [part for part in parts if part is not None]
    if not within:
        raise Unsatisfiable
    return _without_overlaps(within)


def _part(first: str, last: str, size: int) -> Part | None:
    """One range within ``size`` bytes; None when it lies outside. Raises Unsatisfiable for one that is none."""
    if not first:
        if not last:
            raise Unsatisfiable
        length = min(_number(last), size)
        return Part(first=size - length, last=size - 1) if length else None
    start, end = _number(first), _number(last) if last else size - 1
    if last and end < start:
        raise Unsatisfiable
    return Part(first=start, last=min(end, size - 1)) if start < size else None


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS


def _without_overlaps(parts: list[Part]) -> list[Part]:
    merged: list[Part] = []
    for part in sorted(parts, key=lambda part: part.first):
        if merged and part.first <= merged[-1].last:
            merged[-1] = Part(first=merged[-1].first, last=max(part.last, merged[-1].last))
        else:
            merged.append(part)
    return parts if len(merged) == len(parts) else merged
