"""Arrivals: blobs on their way into a repository, which can be read while they come.

All but the last byte is told as it comes, and that one once the blob is verified and kept: nobody ever has the whole of
what turns out to be something else.
"""

from concurrent.futures import Future
from threading import Lock


class Arrival:
    """One blob of ``size`` bytes, which come into the spool of an upload session. Any thread may use it."""

    def __init__(self, upload: str, size: int) -> None:
        self.upload = upload
        self.size = size
        # Done when the blob is kept, or raises why it is not.
        self.kept: Future[None] = Future()
        self._told = 0
        self._more: Future[int] = Future()
        self._lock = Lock()

    def beyond(self, position: int) -> "Future[int]":
        """How far the blob can be read, as soon as that is beyond the position; raises why it ended before."""
        with self._lock:
            if self._told <= position:
                return self._more
            known: Future[int] = Future()
            known.set_result(self._told)
            return known

    def advance(self, arrived: int) -> None:
        """So many bytes of the spool can be read."""
        told = min(arrived, self.size - 1)
        with self._lock:
            if told <= self._told:
                return
            self._told = told
            more, self._more = self._more, Future()
        more.set_result(told)

    def end(self, trouble: BaseException | None = None) -> None:
        """The blob is kept, or not: for whoever follows, and for whoever waits."""
        with self._lock:
            if trouble is None:
                self._told = self.size
            more = self._more
        if trouble is None:
            more.set_result(self.size)
            self.kept.set_result(None)
        else:
            more.set_exception(trouble)
            self.kept.set_exception(trouble)
