"""Joining: lines that make up one event, up to what the Logs API takes as one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from agent.logs.batches import EVENT_OVERHEAD, Entry

LARGEST_EVENT = 256 * 1024


class Joiner:
    """Keeps the event that is being put together. An event ends where the next begins, or when it is old."""

    def __init__(self, begins: Callable[[str], bool], flush_after: timedelta) -> None:
        self._begins = begins
        self._flush_after = flush_after
        self._parts: list[Entry] = []
        self._size = 0
        self._due: datetime | None = None

    @property
    def due(self) -> datetime | None:
        """When the event under way is over at the latest; None when there is none."""
        return self._due

    def add(self, line: Entry, now: datetime) -> Entry | None:
        """Take in a line; the answer is the event that it ended."""
        # A line's end takes a byte in the event.
        grown = self._size + line.size - EVENT_OVERHEAD + 1
        ended = self.rest() if self._parts and (grown > LARGEST_EVENT or self._begins(line.message)) else None
        if not self._parts:
            self._due = now + self._flush_after
            self._size = EVENT_OVERHEAD
        self._parts.append(line)
        self._size += line.size - EVENT_OVERHEAD + 1
        return ended

    def rest(self) -> Entry | None:
        """The event under way, which is over now."""
        if not self._parts:
            return None
        parts, self._parts, self._due = self._parts, [], None
        first = parts[0]
        message = "\n".join(part.message for part in parts)
        return replace(
            first,
            message=message,
            size=len(message.encode()) + EVENT_OVERHEAD,
            more=tuple((part.stream, part.at) for part in parts[1:]),
        )
