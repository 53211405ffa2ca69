"""What is read from the simulated engine: the lines of a log, its events, and a command that echoes."""

import queue
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from agent.runtime import LogLine, Sink


@dataclass(frozen=True, slots=True)
class Listening:
    sinks: list[tuple[Mapping[str, str], Sink]]
    entry: tuple[Mapping[str, str], Sink]

    def close(self) -> None:
        if self.entry in self.sinks:
            self.sinks.remove(self.entry)


@dataclass(frozen=True, slots=True)
class Lines:
    lines: list[LogLine]

    def __iter__(self) -> Iterator[LogLine]:
        return iter(self.lines)

    def close(self) -> None:
        self.lines.clear()


def stamp(at: datetime, number: int) -> str:
    """An instant as a log tells it, with the line's number as its nanoseconds."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond * 1000 + number:09d}Z"


class Echo:
    """Ends when told ``exit``."""

    def __init__(self, first: bytes) -> None:
        self._said: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._said.put(first)
        self.size = (0, 0)

    def read(self) -> bytes:
        return self._said.get()

    def write(self, data: bytes) -> None:
        self._said.put(b"" if data.strip() == b"exit" else data)

    def resize(self, cols: int, rows: int) -> None:
        self.size = (cols, rows)

    def exit_code(self) -> int:
        return 0

    def close(self) -> None:
        self._said.put(b"")
