"""Following: a blob sent while it arrives from an upstream, by any number of answers, each at its client's pace.

The last byte is sent once the blob is verified. When it turns out not to be had, the connection ends before that.
"""

import logging
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from registry.cache.arrivals import Arrival
from registry.http.cached import landed
from registry.http.sending import ZERO_COPY, hung_up, is_of_the_system
from registry.storage import NotStored, Storage, StorageError

log = logging.getLogger(__name__)
# Of each answer, in memory: there may be hundreds.
_PIECE = 256 * 1024


class FollowingResponse(Response):
    """Sends all of a blob that arrives."""

    def __init__(self, storage: Storage, arrival: Arrival, digest: str, *, headers: dict[str, str]) -> None:
        super().__init__(headers={**headers, "Content-Length": str(arrival.size)})
        self._storage = storage
        self._arrival = arrival
        self._digest = digest
        self._file: BinaryIO | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        at, zero_copy = 0, ZERO_COPY in scope.get("extensions", {})
        try:
            while at < self._arrival.size:
                end = await landed(self._arrival.beyond(at))
                at = await self._send(at, end, send, zero_copy=zero_copy)
                if await hung_up(receive):
                    return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except Exception as trouble:
            # The server ends the connection of an answer that is not whole.
            log.warning("blob ended early", extra={"digest": self._digest, "sent": at, "because": str(trouble)})
        finally:
            if self._file is not None:
                self._file.close()

    async def _send(self, at: int, end: int, send: Send, *, zero_copy: bool) -> int:
        """Send what is there up to ``end``, or some of it; how far that was."""
        if self._file is None:
            self._file = await run_in_threadpool(self._open, at)
        if zero_copy and is_of_the_system(self._file):
            await send({"type": ZERO_COPY, "file": self._file, "offset": at, "count": end - at, "more_body": True})
            return end
        piece = await run_in_threadpool(self._read, at, min(end - at, _PIECE))
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        return at + len(piece)

    def _read(self, at: int, length: int) -> bytes:
        assert self._file is not None
        piece = self._file.read(length)
        if not piece:
            # What was opened shows what had arrived then.
            self._file.close()
            self._file = self._open(at)
            piece = self._file.read(length)
        if not piece:
            raise StorageError(f"the bytes of {self._digest} ended early")
        return piece

    def _open(self, at: int) -> BinaryIO:
        try:
            return self._storage.read_upload(self._arrival.upload, at=at)
        except NotStored:
            # Kept meanwhile, or given up: that it is not there, then, ends the connection, too.
            file = self._storage.open(self._digest)
            file.seek(at)
            return file
