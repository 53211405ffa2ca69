"""PutLogEvents batches: at most 1 MiB (26 bytes an event included), 10,000 events, 24 hours, in order of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.logs.cursor import Cursor
from agent.runtime import LogLine

EVENT_OVERHEAD = 26
BATCH_BYTES = 1_048_576
BATCH_EVENTS = 10_000
BATCH_SPAN_MS = 24 * 3600 * 1000 - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One event to be shipped; ``stream`` and ``at``, the engine's own instant, are for the cursor.

    ``more`` are those of the further lines of an event of several.
    """

    stream: int
    at: str
    timestamp_ms: int
    message: str
    size: int
    more: tuple[tuple[int, str], ...] = ()

    def passed(self, cursor: Cursor) -> Cursor:
        """The cursor once this event has been passed."""
        cursor = cursor.after(self.stream, self.at)
        for stream, at in self.more:
            cursor = cursor.after(stream, at)
        return cursor


def entry_of(line: LogLine, earliest_ms: int) -> Entry:
    """An event that is not earlier than the one before it: two streams of a container may be out of step."""
    message = line.text.decode("utf-8", "replace")
    size = len(message.encode()) + EVENT_OVERHEAD
    return Entry(line.stream, line.at, max(milliseconds(line.at), earliest_ms), message, size)


def milliseconds(at: str) -> int:
    """Docker's ``2026-01-02T03:04:05.123456789Z`` in epoch milliseconds."""
    whole, _, fraction = at.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return seconds * 1000 + int((fraction + "000")[:3])


def batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Cut into batches the Logs API takes."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        full = size + entry.size > BATCH_BYTES or len(batch) >= BATCH_EVENTS
        if batch and (full or entry.timestamp_ms - batch[0].timestamp_ms > BATCH_SPAN_MS):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size
    if batch:
        yield batch


def render_batch(group: str, stream: str, batch: Sequence[Entry]) -> dict[str, Any]:
    """The members of ``PutLogEvents``; an empty line is no event."""
    return {
        "logGroupName": group,
        "logStreamName": stream,
        "logEvents": [{"timestamp": e.timestamp_ms, "message": e.message} for e in batch if e.message],
    }
