"""Blobs over HTTP: reading them whole or in part, asking for them, and hiding them from a repository."""

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from registry.cache.arrivals import Arrival
from registry.errors import BlobUnknown, NameUnknown, RangeInvalid, RegistryError
from registry.http.byteranges import parts_response
from registry.http.cached import pull_blob
from registry.http.following import FollowingResponse
from registry.http.frame import Ask
from registry.http.ranges import Part, Unsatisfiable, read_ranges
from registry.http.sending import send_blob
from registry.images import find_repository
from registry.names import check_digest
from registry.storage import NotStored
from state.blobs import Blob, get_blob, list_unused, revive_blobs, unlink_blob
from state.scrubs import is_faulty
from state.store import Session

# A digest names its bytes for ever.
_FOREVER = "private, max-age=31536000, immutable"


async def head_blob(ask: Ask) -> Response:
    """Whether the blob is there, and how large it is."""
    blob = await _find(ask, follows=False)
    assert isinstance(blob, Blob)
    if await run_in_threadpool(ask.room.storage.size, blob.digest) != blob.size or not await _revive(ask, blob.digest):
        raise _unknown(blob.digest)
    return Response(headers={**_headers(blob.digest), "Content-Length": str(blob.size)})


async def get_blob_bytes(ask: Ask) -> Response:
    """The blob, or the part of it that a Range header asks for (RFC 9110, section 14)."""
    if ask.request.method == "HEAD":
        return await head_blob(ask)
    # Who asks for a part cannot verify it, and so is not given it before somebody has.
    found = await _find(ask, follows="range" not in ask.request.headers)
    if isinstance(found, Arrival):
        digest = ask.part("digest")
        return FollowingResponse(ask.room.storage, found, digest, headers=_headers(digest))
    return await answer_blob(ask, found)


async def answer_blob(ask: Ask, blob: Blob) -> Response:
    """What is asked for of a blob that the repository shows."""
    parts, headers = _parts(ask, blob), _headers(blob.digest)
    try:
        if len(parts) > 1:
            file = await run_in_threadpool(ask.room.storage.open, blob.digest)
            return parts_response(file, parts, blob.size, headers)
        if not parts:
            return await send_blob(ask, blob.digest, 0, blob.size, status=200, headers=headers)
        (part,) = parts
        headers["Content-Range"] = f"bytes {part.first}-{part.last}/{blob.size}"
        return await send_blob(ask, blob.digest, part.first, part.length, status=206, headers=headers)
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


async def _find(ask: Ask, *, follows: bool) -> Blob | Arrival:
    """The blob, or who ``follows`` what is on its way to become it."""
    name, digest = ask.name, check_digest(ask.part("digest"))

    def find(session: Session) -> Blob | None:
        find_repository(session, name, ask.room.settings.account)
        return get_blob(session, name, digest)

    try:
        blob = await ask.read(find)
        trouble: RegistryError = _unknown(digest)
    except NameUnknown as error:
        blob, trouble = None, error
    if blob is None:
        pulled = await pull_blob(ask, name, digest, follows=follows)
        if isinstance(pulled, Arrival):
            return pulled
        blob = await ask.read(find) if pulled else None
    if blob is None:
        raise trouble
    return blob


async def _revive(ask: Ask, digest: str) -> bool:
    """Have the collector wait anew for a blob that a client need not push; False when it is gone or damaged."""
    name = ask.name

    def look(session: Session) -> tuple[bool, bool]:
        return is_faulty(session, digest), bool(list_unused(session, name, [digest]))

    faulty, unused = await ask.read(look)
    # What is damaged must be pushed again.
    if faulty or not unused:
        return not faulty

    def revive(session: Session) -> bool:
        revive_blobs(session, name, [digest])
        return get_blob(session, name, digest) is not None

    return await ask.transact(revive)


def _unknown(digest: str) -> BlobUnknown:
    return BlobUnknown(detail={"digest": digest})


def _headers(digest: str) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": digest,
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": _FOREVER,
    }


def _parts(ask: Ask, blob: Blob) -> list[Part]:
    """The parts asked for; none for the whole blob. Raises RangeInvalid."""
    wanted, condition = ask.request.headers.get("range"), ask.request.headers.get("if-range")
    if wanted is None or condition not in (None, f'"{blob.digest}"'):
        return []
    try:
        return read_ranges(wanted, blob.size)
    except Unsatisfiable:
        raise RangeInvalid(headers={"Content-Range": f"bytes */{blob.size}"}) from None
