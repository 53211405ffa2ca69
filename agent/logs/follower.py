"""A follower: one thread that reads one container's log from a cursor on into a bounded buffer."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from agent.log import facts
from agent.logs.batches import Entry, entry_of
from agent.logs.cursor import Cursor, Skipping
from agent.logs.joining import Joiner
from agent.logs.manner import Manner
from agent.logs.pattern import Pattern
from agent.logs.places import LogPlace
from agent.runtime import LogLine, LogStream, NotFound, Runtime, RuntimeTrouble
from kit.clock import Clock, backoff

BUFFERED_LINES = 20_000
RETRY_FIRST = timedelta(milliseconds=200)
RETRY_MOST = timedelta(seconds=10)

log = facts(__name__)


class Follower:
    """What was read and not yet taken is between ``cursor`` and the reading position.

    ``ended_reading`` is set once everything the container ever wrote has been read.
    """

    def __init__(
        self,
        *,
        runtime: Runtime,
        runtime_id: str,
        task: str,
        container: str,
        place: LogPlace,
        tty: bool,
        cursor: Cursor,
        manner: Manner,
        clock: Clock,
        woken: Callable[[bool], None],
    ) -> None:
        self.runtime_id = runtime_id
        self.task = task
        self.container = container
        self.place = place
        self.cursor = cursor
        self._runtime = runtime
        self._tty = tty
        self._clock = clock
        self._woken = woken
        self._position = cursor
        self._manner = manner
        self._joiner = Joiner(Pattern(manner.begins).found_in, manner.flush_after) if manner.begins else None
        self._changed = threading.Condition()
        self._buffer: list[Entry] = []
        self._bytes = 0
        self._dropped = 0
        self._dropped_told = 0
        self._dropped_at_peek = 0
        self._latest_ms = 0
        self._ended = threading.Event()
        self._again = threading.Event()
        self._closed = threading.Event()
        self.ended_reading = threading.Event()
        self._stream: LogStream | None = None
        self._following: LogStream | None = None

    def start(self) -> None:
        threading.Thread(target=self.run, name=f"log-{self.container}", daemon=True).start()

    def end(self) -> None:
        """The container has ended: what there is to read now is all there will be."""
        self._ended.set()
        self._read_anew()

    def resume(self) -> None:
        """The container was started again: its log goes on."""
        self._read_anew()

    def close(self) -> None:
        """Stop reading, whatever is left."""
        self._closed.set()
        self.end()
        if stream := self._stream:
            stream.close()
        with self._changed:
            self._changed.notify_all()

    def run(self) -> None:
        """Read until the container has ended and everything it wrote was seen."""
        attempt = 0
        while not self._closed.is_set():
            last = self._ended.is_set()
            try:
                self._read(follow=not last)
                attempt = 0
            except NotFound:
                break
            except Exception as error:
                # A bug in the reading must not leave the rest of the log behind: it is read again, as after an outage.
                attempt += 1
                if not isinstance(error, RuntimeTrouble):
                    log.surprise("log not read", container=self.container)
                log.warning("log not read", container=self.container, because=str(error))
                self._clock.wait(self._closed, backoff(attempt, first=RETRY_FIRST, most=RETRY_MOST))
                continue
            if last:
                break
            # The stream of a running container breaks only with the engine; else the container has ended, and
            # word of it is on its way: it is over, and the final reading begins, or it was started again.
            self._clock.wait(self._again, RETRY_MOST)
            self._again.clear()
        with self._changed:
            self._flush()
        self.ended_reading.set()
        self._woken(True)

    def _read_anew(self) -> None:
        """Give up a stream that is followed: one opened just as the container ended would never end by itself."""
        self._again.set()
        if stream := self._following:
            stream.close()

    def peek(self) -> list[Entry]:
        with self._changed:
            if self._joiner and self._joiner.due and self._clock.now() >= self._joiner.due:
                self._flush()
            self._dropped_at_peek = self._dropped
            self._tell_dropped()
            return list(self._buffer)

    def taken(self, count: int, cursor: Cursor) -> None:
        """The first ``count`` entries of the last ``peek``, of which some may have been dropped, have been shipped."""
        with self._changed:
            gone = min(count, self._dropped - self._dropped_at_peek)
            self._dropped_at_peek += gone
            left = count - gone
            self._bytes -= sum(entry.size for entry in self._buffer[:left])
            del self._buffer[:left]
            self.cursor = cursor
            self._changed.notify_all()

    def due(self, now: datetime) -> datetime | None:
        """Since when, or from when, something is to be shipped, whatever comes; None when there is nothing."""
        with self._changed:
            if self._buffer:
                return now
            return self._joiner.due if self._joiner else None

    def drained(self) -> bool:
        """Everything the container ever wrote has been shipped."""
        with self._changed:
            return self.ended_reading.is_set() and not self._buffer

    def _read(self, *, follow: bool) -> None:
        skipping = Skipping(self._position)
        since = self._position.since()
        self._stream = self._runtime.logs(self.runtime_id, since=since, follow=follow, tty=self._tty)
        self._following = self._stream if follow else None
        try:
            # Whoever asked for it while the stream was being opened has found none to close.
            if follow and (self._ended.is_set() or self._again.is_set()):
                return
            for line in self._stream:
                if skipping.behind(line.stream, line.at):
                    continue
                self._add(line)
                if self._closed.is_set():
                    return
        finally:
            self._stream.close()

    def _add(self, line: LogLine) -> None:
        try:
            entry = entry_of(line, self._latest_ms)
        except ValueError:
            log.warning("log line without an instant", container=self.container)
            return
        with self._changed:
            while self._full() and not self._manner.dropping and not self._closed.is_set():
                self._changed.wait()
            self._latest_ms = entry.timestamp_ms
            self._position = self._position.after(line.stream, line.at)
            first = not self._buffer
            if self._joiner:
                first = self._joiner.due is None
                ended = self._joiner.add(entry, self._clock.now())
                if ended:
                    first = first or not self._buffer
                    self._append(ended)
            else:
                self._append(entry)
        if first:
            self._woken(False)

    def _full(self) -> bool:
        return self._over(len(self._buffer) + 1)

    def _over(self, entries: int) -> bool:
        return self._bytes > self._manner.buffer_bytes or entries > BUFFERED_LINES

    def _append(self, entry: Entry) -> None:
        self._buffer.append(entry)
        self._bytes += entry.size
        if self._manner.dropping:
            over = 0
            while over < len(self._buffer) - 1 and self._over(len(self._buffer) - over):
                self._bytes -= self._buffer[over].size
                self.cursor = self._buffer[over].passed(self.cursor)
                over += 1
            del self._buffer[:over]
            self._dropped += over

    def _flush(self) -> None:
        if self._joiner and (event := self._joiner.rest()):
            self._append(event)

    def _tell_dropped(self) -> None:
        if self._dropped > self._dropped_told:
            count, self._dropped_told = self._dropped - self._dropped_told, self._dropped
            log.warning("log events dropped", task=self.task, container=self.container, events=count)
