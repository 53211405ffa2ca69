"""Blobs over HTTP: reading them whole or in part, asking for them, and hiding them from a repository."""

import re

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from registry.errors import BlobUnknown, RangeInvalid
from registry.http.frame import Ask
from registry.http.sending import send_blob
from registry.images import find_repository
from registry.names import check_digest
from registry.storage import NotStored
from state.blobs import Blob, get_blob, unlink_blob
from state.store import Session

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
# A digest names its bytes for ever.
_FOREVER = "private, max-age=31536000, immutable"


async def head_blob(ask: Ask) -> Response:
    """Whether the blob is there, and how large it is."""
    blob = await _find(ask)
    if await run_in_threadpool(ask.room.storage.size, blob.digest) != blob.size:
        raise _unknown(blob.digest)
    return Response(headers={**_headers(blob), "Content-Length": str(blob.size)})


async def get_blob_bytes(ask: Ask) -> Response:
    """The blob, or the part of it that a Range header asks for (RFC 9110, section 14)."""
    if ask.request.method == "HEAD":
        return await head_blob(ask)
    blob = await _find(ask)
    first, last = 0, blob.size - 1
    wanted = ask.request.headers.get("range")
    condition = ask.request.headers.get("if-range")
    part = _part(wanted, blob.size) if wanted and condition in (None, f'"{blob.digest}"') else None
    headers = _headers(blob)
    if part is not None:
        first, last = part
        headers["Content-Range"] = f"bytes {first}-{last}/{blob.size}"
    status = 200 if part is None else 206
    try:
        return await send_blob(ask, blob.digest, first, last - first + 1, status=status, headers=headers)
    except NotStored:
        raise _unknown(blob.digest) from None


async def delete_blob(ask: Ask) -> Response:
    """Hide the blob from this repository. Its bytes stay for others, and else for the garbage collector."""
    name, digest = ask.name, check_digest(ask.part("digest"))

    def hide(session: Session) -> bool:
        find_repository(session, name, ask.room.settings.account)
        return unlink_blob(session, name, digest)

    if not await ask.transact(hide):
        raise _unknown(digest)
    return Response(status_code=202)


async def _find(ask: Ask) -> Blob:
    name, digest = ask.name, check_digest(ask.part("digest"))

    def find(session: Session) -> Blob | None:
        find_repository(session, name, ask.room.settings.account)
        return get_blob(session, name, digest)

    blob = await ask.read(find)
    if blob is None:
        raise _unknown(digest)
    return blob


def _unknown(digest: str) -> BlobUnknown:
    return BlobUnknown(detail={"digest": digest})


def _headers(blob: Blob) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": blob.digest,
        "ETag": f'"{blob.digest}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": _FOREVER,
    }


def _part(wanted: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a Range header; None for one to be ignored: another unit, or several ranges."""
    found = _RANGE.fullmatch(wanted.replace(" ", ""))
    if found is None:
        return None
    first, last = found.groups()
    refused = RangeInvalid(headers={"Content-Range": f"bytes */{size}"})
    if not first:
        if not last or int(last) == 0 or size == 0:
            raise refused
        return max(0, size - int(last)), size - 1
    if int(first) >= size or (last and int(last) < int(first)):
        raise refused
    return int(first), min(int(last), size - 1) if last else size - 1
