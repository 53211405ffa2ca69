"""Uploads over HTTP: sessions, chunks in order, streams, single requests and mounts."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from operator import methodcaller

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from registry.errors import (
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    NameUnknown,
    RegistryError,
    SizeInvalid,
)
from registry.http.bodies import SMALL, announced_length, pieces_of
from registry.http.frame import Ask
from registry.mounts import may_read
from registry.names import algorithm_of, check_algorithm, check_digest, check_name
from registry.uploads import Incoming, Uploads
from state.store import Session

_CHUNK_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


async def begin_upload(ask: Ask) -> Response:
    """Open a session; with ``mount`` borrow the blob from another repository, with ``digest`` take it whole."""
    name, uploads = ask.name, ask.room.uploads
    mount, digest = ask.query("mount"), ask.query("digest")
    if mount is not None:
        # Whoever may not read the blob elsewhere, or names one that is not there, uploads it instead.
        if await _mount(ask, name, check_digest(mount)):
            return _created(name, mount)
    elif digest is not None:
        return await _take_whole(ask, name, check_digest(digest))
    expected = algorithm_of(mount) if mount is not None else ask.query("digest-algorithm") or "sha256"
    upload = await run_in_threadpool(partial(uploads.begin, name, algorithm=check_algorithm(expected)))
    return Response(status_code=202, headers=Uploads.progress(name, upload, 0))


async def upload_status(ask: Ask) -> Response:
    """How much has arrived."""
    name, upload = ask.name, ask.part("upload")
    offset = await run_in_threadpool(ask.room.uploads.offset, name, upload)
    return Response(status_code=204, headers=Uploads.progress(name, upload, offset))


async def upload_chunk(ask: Ask) -> Response:
    """Append the body: the chunk that Content-Range tells, or a stream of any length."""
    name, upload = ask.name, ask.part("upload")
    chunk = _chunk(ask)
    opened = partial(ask.room.uploads.write, name, upload, at=chunk.first if chunk else None)
    return Response(status_code=202, headers=await _take(ask, opened, Incoming.flush, chunk))


async def finish_upload(ask: Ask) -> Response:
    """Append what the body brings, verify the whole against ``digest`` and make it a blob."""
    name, upload, digest = ask.name, ask.part("upload"), ask.query("digest")
    if digest is None:
        raise DigestInvalid("the digest parameter is missing")
    check_digest(digest)
    chunk = _chunk(ask)
    opened = partial(ask.room.uploads.write, name, upload, at=chunk.first if chunk else None, digest=digest)
    await _take(ask, opened, methodcaller("finish", digest), chunk)
    return _created(name, digest)


async def cancel_upload(ask: Ask) -> Response:
    """End the session and forget its bytes."""
    await run_in_threadpool(ask.room.uploads.cancel, ask.name, ask.part("upload"))
    return Response(status_code=204)


async def _mount(ask: Ask, name: str, digest: str) -> bool:
    source = ask.query("from")
    if source is not None:
        check_name(source)
    asker, arns, now = ask.asker, ask.room.arns, ask.room.clock.now()

    def readable(session: Session, holders: Sequence[str]) -> bool:
        return may_read(session, asker, holders, arns=arns, now=now)

    return await run_in_threadpool(partial(ask.room.uploads.mount, name, digest, source=source, may_read=readable))


async def _take_whole(ask: Ask, name: str, digest: str) -> Response:
    uploads = ask.room.uploads
    upload = await run_in_threadpool(uploads.begin, name)
    try:
        await _take(ask, partial(uploads.write, name, upload, digest=digest), methodcaller("finish", digest))
    except (RegistryError, ClientDisconnect):
        # The client never learned of the session, so it cannot resume it.
        with suppress(BlobUploadUnknown, NameUnknown):
            await run_in_threadpool(uploads.cancel, name, upload)
        raise
    return _created(name, digest)


async def _take(
    ask: Ask,
    opened: Callable[[], Incoming],
    ended: Callable[[Incoming], None],
    chunk: "Chunk | None" = None,
) -> Mapping[str, str]:
    """Open the session, write the body piece by piece and end that; answers how far the session is.

    On a bad line every byte that came counts, or an upload might never get on. What is known to be the last piece is
    written and ``ended`` in one turn of a thread; for a small body the session is opened in that turn, too.
    Raises SizeInvalid when it has not as many bytes as ``chunk`` says; those of them that came are taken then.
    """
    left, coming = chunk.length if chunk is not None else sys.maxsize, announced_length(ask.request)
    came, is_ended = 0, False
    incoming: Incoming | None = None

    def take(piece: bytes | bytearray | memoryview) -> Incoming:
        nonlocal incoming, is_ended
        if incoming is None:
            incoming = opened()
        incoming.write(piece)
        if came == coming:
            ended(incoming)
            is_ended = True
        return incoming

    try:
        if coming is None or coming > SMALL:
            incoming = await run_in_threadpool(opened)
        async with aclosing(pieces_of(ask.request)) as pieces:
            async for piece in pieces:
                came += len(piece)
                await run_in_threadpool(take, piece[:left] if left < len(piece) else piece)
                left -= len(piece)
                if left < 0:
                    break
        if incoming is None:
            incoming = await run_in_threadpool(take, b"")
        if chunk is not None and left != 0:
            trouble = "more" if left < 0 else "less"
            raise SizeInvalid(
                f"the body has {trouble} than the {chunk.length} bytes of its range", headers=incoming.progress
            )
        if not is_ended:
            await run_in_threadpool(ended, incoming)
        return incoming.progress
    finally:
        if incoming is not None:
            incoming.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What Content-Range says of the body."""

    first: int
    length: int


def _chunk(ask: Ask) -> Chunk | None:
    """The chunk that is announced; None for a stream. Raises BlobUploadInvalid, SizeInvalid."""
    said = ask.request.headers.get("content-range")
    if said is None:
        return None
    found = _CHUNK_RANGE.fullmatch(said.strip())
    if found is None or int(found[2]) < int(found[1]):
        raise BlobUploadInvalid(f"Content-Range must be '<first>-<last>', not '{said[:100]}'")
    chunk = Chunk(first=int(found[1]), length=int(found[2]) - int(found[1]) + 1)
    length = ask.request.headers.get("content-length")
    if length is not None and length.isdigit() and int(length) != chunk.length:
        raise SizeInvalid(f"Content-Range '{said}' does not fit a body of {length} bytes")
    return chunk


def _created(name: str, digest: str) -> Response:
    return Response(
        status_code=201,
        headers={"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest},
    )
