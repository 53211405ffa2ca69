"""Downloads: one blob's bytes from an upstream, taken up again where the connection broke, a bounded number of times.

Whether they are the right ones is for the reader to say, over all of them.
"""

import logging
import re
import threading
from collections.abc import Generator
from datetime import timedelta

from kit.clock import backoff, monotonic
from registry.parts import LARGEST_LAYER
from registry.upstream import Misbehaved, RegistryConnection, Throttled, Unreachable
from registry.upstream.connection import Flow

log = logging.getLogger(__name__)
# How many times in a row it may break before it has brought so much more.
ATTEMPTS = 6
_PROGRESS = 16 * 1024 * 1024
# The largest layer over a line of a hundred megabits.
_WITHIN = 5000.0
_FIRST_PAUSE = timedelta(milliseconds=200)
_LONGEST_PAUSE = timedelta(seconds=5)
_PART = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


class Download:
    """One blob. ``size`` is known once the first bytes are there, if the upstream tells it."""

    def __init__(self, connection: RegistryConnection, path: str, *, scope: str) -> None:
        self.size: int | None = None
        self._connection = connection
        self._path = path
        self._scope = scope
        self._offset = 0

    def pieces(self) -> Generator[bytes]:
        """The bytes as they arrive; raises UpstreamError."""
        ends_at, attempt = monotonic() + _WITHIN, 0
        while True:
            before = self._offset
            try:
                yield from self._attempt(ends_at - monotonic())
                return
            except (Unreachable, Throttled) as trouble:
                attempt = 1 if self._offset - before >= _PROGRESS else attempt + 1
                # What has not begun is told at once: somebody waits for the answer.
                if not self._offset or attempt == ATTEMPTS or monotonic() > ends_at:
                    raise
                facts = {"upstream": self._connection.address.url, "path": self._path, "offset": self._offset}
                log.warning("a download broke", extra={**facts, "because": str(trouble)})
            threading.Event().wait(backoff(attempt, first=_FIRST_PAUSE, most=_LONGEST_PAUSE).total_seconds())

    def _attempt(self, within: float) -> Generator[bytes]:
        """All that is missing."""
        if self._offset and self._offset == self.size:
            return
        headers = {"Range": f"bytes={self._offset}-"} if self._offset else {}
        with self._connection.stream("GET", self._path, scope=self._scope, headers=headers, within=within) as flow:
            skipped = self._begin(flow)
            for piece in flow.pieces():
                new = piece[skipped:]
                skipped -= len(piece) - len(new)
                self._offset += len(new)
                if self._offset > LARGEST_LAYER:
                    raise Misbehaved(f"{self._where} sent more than {LARGEST_LAYER} bytes")
                if new:
                    yield new
        if self.size is not None and self._offset < self.size:
            raise Unreachable(f"{self._where} sent less than it said")

    def _begin(self, flow: Flow) -> int:
        """How many bytes of the answer are known already; raises Misbehaved where it is of something else."""
        first, size = 0, flow.headers.get("content-length", "")
        if flow.status == 206:
            part = _PART.fullmatch(flow.headers.get("content-range", ""))
            if part is None or int(part[1]) != self._offset:
                raise Misbehaved(f"{self._where} sent another part of a blob than it was asked for")
            first, size = self._offset, part[3]
        told = int(size) if size.isdigit() else None
        if self._offset and None not in (told, self.size) and told != self.size:
            raise Misbehaved(f"{self._where} sent a blob of another size than before")
        self.size = told if not self._offset else self.size
        return self._offset - first

    @property
    def _where(self) -> str:
        return self._connection.address.url
