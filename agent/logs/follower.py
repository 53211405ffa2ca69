"""A follower: one thread that reads one container's log from a cursor on into a bounded buffer."""

import threading
from collections.abc import Callable
from datetime import timedelta

from agent.log import facts
from agent.logs.batches import Entry, entry_of
from agent.logs.cursor import Cursor, Skipping
from agent.logs.places import LogPlace
from agent.runtime import LogLine, LogStream, NotFound, Runtime, RuntimeTrouble
from kit.clock import Clock, backoff

BUFFERED_BYTES = 2 * 1024 * 1024
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
        self._changed = threading.Condition()
        self._buffer: list[Entry] = []
        self._bytes = 0
        self._latest_ms = 0
        self._ended = threading.Event()
        self._again = threading.Event()
        self._closed = threading.Event()
        self.ended_reading = threading.Event()
        self._stream: LogStream | None = None

    def start(self) -> None:
        threading.Thread(target=self.run, name=f"log-{self.container}", daemon=True).start()

    def end(self) -> None:
        """The container has ended: what there is to read now is all there will be."""
        self._ended.set()
        self._again.set()

    def resume(self) -> None:
        """The container was started again: its log goes on."""
        self._again.set()

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
            except RuntimeTrouble as error:
                attempt += 1
                log.warning("log not read", container=self.container, because=str(error))
                self._clock.wait(self._closed, backoff(attempt, first=RETRY_FIRST, most=RETRY_MOST))
                continue
            if last:
                break
            # The stream of a running container breaks only with the engine; else the container has ended, and
            # word of it is on its way: it is over, and the final reading begins, or it was started again.
            self._clock.wait(self._again, RETRY_MOST)
            self._again.clear()
        self.ended_reading.set()
        self._woken(True)

    def peek(self) -> list[Entry]:
        with self._changed:
            return list(self._buffer)

    def taken(self, count: int, cursor: Cursor) -> None:
        """The first ``count`` entries have been shipped."""
        with self._changed:
            self._bytes -= sum(entry.size for entry in self._buffer[:count])
            del self._buffer[:count]
            self.cursor = cursor
            self._changed.notify_all()

    def pending(self) -> bool:
        return bool(self._buffer)

    def drained(self) -> bool:
        """Everything the container ever wrote has been shipped."""
        with self._changed:
            return self.ended_reading.is_set() and not self._buffer

    def _read(self, *, follow: bool) -> None:
        skipping = Skipping(self._position)
        since = self._position.since()
        self._stream = self._runtime.logs(self.runtime_id, since=since, follow=follow, tty=self._tty)
        try:
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
            while (self._bytes > BUFFERED_BYTES or len(self._buffer) >= BUFFERED_LINES) and not self._closed.is_set():
                self._changed.wait()
            self._latest_ms = entry.timestamp_ms
            self._position = self._position.after(line.stream, line.at)
            self._buffer.append(entry)
            self._bytes += entry.size
            first = len(self._buffer) == 1
        if first:
            self._woken(False)
