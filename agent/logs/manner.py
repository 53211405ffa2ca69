"""How a container's log is shipped, by its awslogs options: what one event is, and what happens when too much comes.

As Docker's own awslogs driver has it: a line that matches the pattern begins an event, others go on with it; and in
``non-blocking`` mode a bounded buffer loses lines rather than time. Here the oldest go, and are counted.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from agent.logs.pattern import BadPattern, Pattern

BUFFERED_BYTES = 2 * 1024 * 1024
# What ECS gives a non-blocking log that says nothing else.
NON_BLOCKING_BYTES = 10 * 1024 * 1024
MOST_BUFFERED_BYTES = 256 * 1024 * 1024
FLUSH_AFTER_S = 5
SIZE = re.compile(r"(\d{1,15})\s*([kmg]?)i?b?", re.IGNORECASE)
UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
# The directives of strftime that ECS knows, as patterns; all else in a format is a pattern already.
DIRECTIVES = {
    "a": "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
    "A": "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)",
    "w": "[0-6]",
    "d": "(?:0[1-9]|[12][0-9]|3[01])",
    "b": "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)",
    "B": "(?:January|February|March|April|May|June|July|August|September|October|November|December)",
    "m": "(?:0[1-9]|1[0-2])",
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "H": "(?:[01][0-9]|2[0-3])",
    "I": "(?:0[0-9]|1[0-2])",
    "p": "[AP]M",
    "M": "[0-5][0-9]",
    "S": "[0-5][0-9]",
    "f": "[0-9]{6}",
    "z": "[+-][0-9]{4}",
    "Z": "[A-Z]{1,4}T",
    "j": "(?:[0-2][0-9]{2}|3[0-5][0-9]|36[0-6])",
    "L": r"\.[0-9]{3}",
    "%": "%",
}


class BadManner(Exception):
    """The options make no sense; the text names the one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """``begins`` is the pattern of an event's first line, or empty; a begun event waits for ``flush_after``."""

    begins: str = ""
    flush_after: timedelta = timedelta(seconds=FLUSH_AFTER_S)
    dropping: bool = False
    buffer_bytes: int = BUFFERED_BYTES


def read_manner(options: Mapping[str, str]) -> Manner:
    """The manner that awslogs options ask for. Raises BadManner."""
    mode = options.get("mode") or "blocking"
    if mode not in ("blocking", "non-blocking"):
        raise BadManner(f"mode: {mode!r} is neither blocking nor non-blocking")
    dropping = mode == "non-blocking"
    size = options.get("max-buffer-size", "")
    if size and not dropping:
        raise BadManner("max-buffer-size: is of non-blocking mode only")
    given = read_size(size) if size else NON_BLOCKING_BYTES
    return Manner(
        begins=_begins(options),
        flush_after=timedelta(seconds=_seconds(options)),
        dropping=dropping,
        buffer_bytes=min(given, MOST_BUFFERED_BYTES) if dropping else BUFFERED_BYTES,
    )


def read_size(text: str) -> int:
    """A size in Docker's words, such as ``25m``, in bytes. Raises BadManner."""
    found = SIZE.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise BadManner(f"max-buffer-size: {text!r} is not a size")
    return int(found[1]) * UNITS[found[2].lower()]


def pattern_of_format(form: str) -> str:
    """A strftime format as a pattern. Raises BadManner."""

    def directive(found: re.Match[str]) -> str:
        if found[1] not in DIRECTIVES:
            raise BadManner(f"awslogs-datetime-format: {found[0]} is not known")
        return DIRECTIVES[found[1]]

    return re.sub(r"%(.?)", directive, form)


def _begins(options: Mapping[str, str]) -> str:
    form, pattern = options.get("awslogs-datetime-format", ""), options.get("awslogs-multiline-pattern", "")
    if form and pattern:
        raise BadManner(
            "you cannot configure log opt 'awslogs-datetime-format' and 'awslogs-multiline-pattern' at the same time"
        )
    name = "awslogs-datetime-format" if form else "awslogs-multiline-pattern"
    begins = pattern_of_format(form) if form else pattern
    if begins:
        try:
            Pattern(begins)
        except BadPattern as error:
            raise BadManner(f"awslogs could not parse {name}: {error}") from error
    return begins


def _seconds(options: Mapping[str, str]) -> int:
    text = options.get("awslogs-force-flush-interval-seconds", "")
    if not text:
        return FLUSH_AFTER_S
    if not re.fullmatch(r"[1-9]\d{0,4}", text):
        raise BadManner(f"awslogs-force-flush-interval-seconds: {text!r} is not a number of seconds")
    return int(text)
