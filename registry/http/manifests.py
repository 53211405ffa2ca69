"""Manifests over HTTP: exact bytes in, exact bytes out."""

from contextlib import aclosing
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from registry.errors import DigestInvalid, ImageArchived, ManifestTooLarge, TagInvalid, TooManyTags
from registry.http.bodies import pieces_of
from registry.http.cached import find_manifest
from registry.http.frame import Ask, is_sent_on
from registry.images import (
    Push,
    check_unlisted,
    find_repository,
    missing_parts,
    put_image,
    remove_image,
    remove_tag,
)
from registry.manifests import LARGEST, Manifest, read_manifest
from registry.names import algorithm_of, check_digest, digest_of, is_tag
from registry.pulls import Pull
from state.images import Image
from state.repositories import lock_repository
from state.store import Session

# Each becomes a header of the answer, and many a client reads a hundred headers at most.
_MOST_TAGS = 50


async def get_manifest(ask: Ask) -> Response:
    """The manifest of a tag or digest, as it was pushed."""
    image = await find_manifest(ask, ask.name, _checked(ask.part("reference")))
    if isinstance(image, Image) and image.status != "ACTIVE":
        raise ImageArchived
    headers = {
        "Content-Type": image.media_type,
        "Docker-Content-Digest": image.digest,
        "ETag": f'"{image.digest}"',
    }
    if ask.request.method != "GET":
        length = image.body_size if isinstance(image, Image) else len(image.body)
        return Response(headers={**headers, "Content-Length": str(length)})
    if isinstance(image, Image):
        await _note_pull(ask, image)
    return Response(image.body, headers=headers)


async def put_manifest(ask: Ask) -> Response:
    """Keep the manifest under its digest and point the tag, or the ``tag`` parameters, to it."""
    name, reference = ask.name, ask.part("reference")
    given = tags = list(dict.fromkeys(ask.request.query_params.getlist("tag")))
    if len(tags) > _MOST_TAGS:
        raise TooManyTags(f"at most {_MOST_TAGS} tags can be given at once")
    body = await _body(ask)
    if ":" in reference:
        digest = digest_of(body, algorithm_of(check_digest(reference)))
        if digest != reference:
            raise DigestInvalid(detail={"provided": reference, "uploaded": digest})
    else:
        if not is_tag(reference):
            raise TagInvalid(f"'{reference[:200]}' is not a valid tag")
        digest, tags = digest_of(body), [reference, *(tag for tag in tags if tag != reference)]

    def put() -> tuple[Manifest, int]:
        manifest = read_manifest(body, ask.request.headers.get("content-type"))
        push = Push(digest=digest, body=body, manifest=manifest, tags=tags, replicated=is_sent_on(ask.request))
        return manifest, ask.room.store.transact(lambda session: _put(session, ask, name, push))

    manifest, missing = await run_in_threadpool(put)
    response = Response(
        status_code=201,
        headers={"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest},
    )
    if manifest.subject is not None:
        response.headers["OCI-Subject"] = manifest.subject
    if missing:
        some = "1 part of this manifest is" if missing == 1 else f"{missing} parts of this manifest are"
        response.headers["Warning"] = f'299 - "{some} not in the repository yet"'
    for tag in given:
        response.headers.append("OCI-Tag", tag)
    return response


async def delete_manifest(ask: Ask) -> Response:
    """By tag take the tag away; by digest the manifest with every tag on it, unless a list needs it."""
    name, reference, now = ask.name, ask.part("reference"), ask.room.clock.now()

    def remove(session: Session) -> None:
        # Between a push that finds the image and the tag it gives to it, the image must not go.
        lock_repository(session, name)
        find_repository(session, name, ask.room.settings.account)
        if ":" in reference:
            digest = check_digest(reference)
            if not ask.room.settings.registry_sparse:
                check_unlisted(session, name, digest)
            remove_image(session, name, digest, now=now)
        else:
            remove_tag(session, name, reference, now=now)

    await ask.transact(remove)
    return Response(status_code=202)


def _put(session: Session, ask: Ask, name: str, push: Push) -> int:
    """Put the image; how many of its parts are missing, where that is allowed."""
    sparse = ask.room.settings.registry_sparse
    now, account = ask.room.clock.now(), ask.room.settings.account
    put_image(session, name, push, account=account, now=now, sparse=sparse)
    return len(missing_parts(session, name, push.manifest)) if sparse else 0


def _checked(reference: str) -> str:
    return check_digest(reference) if ":" in reference else reference


async def _body(ask: Ask) -> bytes:
    said = ask.request.headers.get("content-length", "")
    if said.isdigit() and int(said) > LARGEST:
        raise ManifestTooLarge(f"a manifest may have {LARGEST} bytes at most")
    body = bytearray()
    async with aclosing(pieces_of(ask.request)) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > LARGEST:
                raise ManifestTooLarge(f"a manifest may have {LARGEST} bytes at most")
    return bytes(body)


async def _note_pull(ask: Ask, image: Image) -> None:
    now, principal, pulls = ask.room.clock.now(), ask.grant.principal_arn, ask.room.pulls
    if pulls.is_due(principal, image.pulled_at, now=now):
        await run_in_threadpool(partial(pulls.note, Pull(image.repository, image.digest, principal), now=now))
