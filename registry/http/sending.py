"""Sending blobs: the one place where their bytes leave, by whatever way moves them at the least cost.

A link into the storage, when it offers one; a file that nginx in front sends, where the setting says so; a file that
the server hands to the kernel; and else a chunk in memory at a time.
"""

import re
from datetime import timedelta
from typing import BinaryIO, Protocol, runtime_checkable

from anyio import CancelScope
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kit.settings import BadSetting
from registry.http.frame import Ask
from registry.storage import CHUNK, NotStored

# The ASGI extension of that name: the server sends a part of an open file.
ZERO_COPY = "http.response.zerocopysend"
PROXY = "proxy"
NGINX = "nginx:"
_NGINX = re.compile(NGINX + r"(/[A-Za-z0-9._~-]+)+")
# A client asks again for what it did not get in this time.
LINK_LASTS = timedelta(hours=1)


@runtime_checkable
class Linked(Protocol):
    """A storage whose blobs can be read elsewhere, by a link."""

    def link(self, digest: str, *, lasts: timedelta) -> str:
        """A URL that reads the blob for so long without credentials."""
        ...


@runtime_checkable
class Placed(Protocol):
    """A storage whose blobs are files."""

    def place(self, digest: str) -> str:
        """The blob's path beneath the directory of all blobs."""
        ...


def check_delivery(way: str) -> None:
    """Raise BadSetting for a ``blob_delivery`` that is none."""
    if way not in ("", PROXY) and not _NGINX.fullmatch(way):
        raise BadSetting(f"BERTH_BLOB_DELIVERY must be {PROXY}, {NGINX}/PREFIX or nothing, not {way!r}")


async def send_blob(
    ask: Ask, digest: str, first: int, length: int, *, status: int, headers: dict[str, str]
) -> Response:
    """``length`` bytes of the blob from ``first`` on; raises NotStored."""
    storage, way = ask.room.storage, ask.room.settings.blob_delivery
    if not way and isinstance(storage, Linked):
        # The storage answers the range that the client asks for.
        link = await run_in_threadpool(storage.link, digest, lasts=LINK_LASTS)
        return Response(
            status_code=307,
            headers={"Location": link, "Docker-Content-Digest": digest, "Cache-Control": "private, no-store"},
        )
    if way.startswith(NGINX) and isinstance(storage, Placed):
        if await run_in_threadpool(storage.size, digest) is None:
            raise NotStored(digest)
        # As for the whole blob: nginx answers the range.
        kept = {name: value for name, value in headers.items() if name not in ("Content-Range", "Accept-Ranges")}
        return Response(headers={**kept, "X-Accel-Redirect": f"{way.removeprefix(NGINX)}/{storage.place(digest)}"})
    file = await run_in_threadpool(storage.open, digest)
    return FileResponse(file, first, length, status=status, headers=headers)


class FileResponse(Response):
    """Sends ``length`` bytes of an open file from ``first`` on, and closes it."""

    def __init__(self, file: BinaryIO, first: int, length: int, *, status: int, headers: dict[str, str]) -> None:
        super().__init__(status_code=status, headers={**headers, "Content-Length": str(length)})
        self._file = file
        self._first = first
        self._left = length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if ZERO_COPY in scope.get("extensions", {}) and is_of_the_system(self._file):
                await send({"type": ZERO_COPY, "file": self._file, "offset": self._first, "count": self._left})
            else:
                await self._copy(receive, send)
        finally:
            self._file.close()

    async def _copy(self, receive: Receive, send: Send) -> None:
        await run_in_threadpool(self._file.seek, self._first)
        while self._left:
            chunk = await run_in_threadpool(self._file.read, min(CHUNK, self._left))
            if not chunk:
                # The file is shorter than its row says: end the connection, so that nobody takes it for whole.
                raise OSError("a blob's bytes ended early")
            self._left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if await hung_up(receive):
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def is_of_the_system(file: BinaryIO) -> bool:
    try:
        return file.fileno() >= 0
    except OSError:
        return False


async def hung_up(receive: Receive) -> bool:
    """Whether the client is gone. The server does not say so when bytes are sent to nobody."""
    with CancelScope() as at_once:
        at_once.cancel()
        while (await receive())["type"] != "http.disconnect":
            pass
        return True
    return False
