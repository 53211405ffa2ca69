"""Uploads over HTTP: sessions, chunks in order, streams, single requests and mounts."""

import re
from contextlib import suppress

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from kit.aws.access import allows
from registry.errors import (
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    NameUnknown,
    RegistryError,
    SizeInvalid,
    Stalled,
)
from registry.http.frame import Ask, pieces_of
from registry.names import check_digest
from registry.storage import CHUNK
from registry.uploads import Incoming, Uploads

_CHUNK_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


async def begin_upload(ask: Ask) -> Response:
    """Open a session; with ``mount`` borrow the blob from another repository, with ``digest`` take it whole."""
    name, uploads = ask.name, ask.room.uploads
    mount, digest = ask.query("mount"), ask.query("digest")
    # Mounting reads the other repository, so it needs the right to; without it the blob is uploaded instead.
    if mount and allows(ask.grant.actions, "ecr:GetDownloadUrlForLayer"):
        if await run_in_threadpool(uploads.mount, name, check_digest(mount)):
            return _created(name, mount)
    elif digest:
        return await _take_whole(ask, name, check_digest(digest))
    upload = await run_in_threadpool(uploads.begin, name)
    return Response(status_code=202, headers=Uploads.progress(name, upload, 0))


async def upload_status(ask: Ask) -> Response:
    """How much has arrived."""
    name, upload = ask.name, ask.part("upload")
    offset = await run_in_threadpool(ask.room.uploads.offset, name, upload)
    return Response(status_code=204, headers=Uploads.progress(name, upload, offset))


async def upload_chunk(ask: Ask) -> Response:
    """Append the body: the chunk that Content-Range tells, or a stream of any length."""
    name, upload = ask.name, ask.part("upload")
    at = _chunk_start(ask)
    incoming = await run_in_threadpool(lambda: ask.room.uploads.write(name, upload, at=at))
    try:
        await _take(ask, incoming)
        await run_in_threadpool(incoming.flush)
        return Response(status_code=202, headers=incoming.progress)
    finally:
        incoming.close()


async def finish_upload(ask: Ask) -> Response:
    """Append what the body brings, verify the whole against ``digest`` and make it a blob."""
    name, upload, digest = ask.name, ask.part("upload"), ask.query("digest")
    if digest is None:
        raise DigestInvalid("the digest parameter is missing")
    check_digest(digest)
    at = _chunk_start(ask)
    incoming = await run_in_threadpool(lambda: ask.room.uploads.write(name, upload, at=at))
    try:
        await _take(ask, incoming)
        await run_in_threadpool(incoming.finish, digest)
    finally:
        incoming.close()
    return _created(name, digest)


async def cancel_upload(ask: Ask) -> Response:
    """End the session and forget its bytes."""
    await run_in_threadpool(ask.room.uploads.cancel, ask.name, ask.part("upload"))
    return Response(status_code=204)


async def _take_whole(ask: Ask, name: str, digest: str) -> Response:
    uploads = ask.room.uploads
    upload = await run_in_threadpool(uploads.begin, name)
    try:
        incoming = await run_in_threadpool(uploads.write, name, upload)
        try:
            await _take(ask, incoming)
            await run_in_threadpool(incoming.finish, digest)
        finally:
            incoming.close()
    except (RegistryError, ClientDisconnect):
        # The client never learned of the session, so it cannot resume it.
        with suppress(BlobUploadUnknown, NameUnknown):
            await run_in_threadpool(uploads.cancel, name, upload)
        raise
    return _created(name, digest)


async def _take(ask: Ask, incoming: Incoming) -> None:
    """Write the body in chunks of about a mebibyte: that is all of it that is ever in memory."""
    waiting = bytearray()
    try:
        async for piece in pieces_of(ask.request):
            waiting += piece
            if len(waiting) >= CHUNK:
                # Given away before it is written: what fails to be written is not written twice.
                full, waiting = waiting, bytearray()
                await run_in_threadpool(incoming.write, full)
    except (ClientDisconnect, Stalled):
        # On a bad line every byte that came through counts, or an upload might never get on.
        await run_in_threadpool(incoming.write, waiting)
        raise
    await run_in_threadpool(incoming.write, waiting)


def _chunk_start(ask: Ask) -> int | None:
    """Where the chunk says it begins; None for a stream. Raises BlobUploadInvalid, SizeInvalid."""
    said = ask.request.headers.get("content-range")
    if said is None:
        return None
    found = _CHUNK_RANGE.fullmatch(said.strip())
    if found is None or int(found[2]) < int(found[1]):
        raise BlobUploadInvalid(f"Content-Range must be '<first>-<last>', not '{said[:100]}'")
    length = ask.request.headers.get("content-length")
    if length is not None and length.isdigit() and int(length) != int(found[2]) - int(found[1]) + 1:
        raise SizeInvalid(f"Content-Range '{said}' does not fit a body of {length} bytes")
    return int(found[1])


def _created(name: str, digest: str) -> Response:
    return Response(
        status_code=201,
        headers={"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest},
    )
