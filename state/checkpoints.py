"""Checkpoints: what commits have put into SQLite's log is moved into its file beside the writers, not inside a commit.

SQLite by itself does so in the commit that makes the log long, and whoever commits then waits for all of it. A thread
that does it in passing waits for nobody and nobody for it; should it fall behind, SQLite's own way remains.
"""

import logging
import sqlite3
import threading
from pathlib import Path

log = logging.getLogger(__name__)
# A log of this size, in bytes, is worth a thread.
LARGE = 4 * 1024 * 1024
# The log's size in pages at which SQLite moves it by itself; most has been moved by then, and the log begins anew.
BACKSTOP = 16384
PAUSE = 0.5


class Checkpoints:
    """The checkpoints of one SQLite file. ``committed`` may be called on any thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def committed(self) -> None:
        """Something has been written."""
        if self._thread is None and not self._begin():
            return
        self._news.set()

    def close(self) -> None:
        """Let the thread move what there is, and end."""
        self._stopping.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _begin(self) -> bool:
        try:
            if Path(f"{self._path}-wal").stat().st_size < LARGE:
                return False
        except OSError:
            return False
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
                self._thread.start()
        return True

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous=FULL")
            while True:
                self._news.wait()
                self._news.clear()
                self._move(connection)
                if self._stopping.wait(PAUSE):
                    return
        finally:
            connection.close()

    def _move(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            # A full disk, say: writers will hear of it themselves.
            log.warning("log not moved into the store's file", extra={"because": str(error)})
