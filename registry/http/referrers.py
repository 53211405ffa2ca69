"""Referrers over HTTP: which manifests say they are about a digest, as an image index."""

import json
from typing import Any

from starlette.responses import Response

from registry.http.frame import Ask
from registry.http.pages import last_seen, link
from registry.manifests import LARGEST, OCI_INDEX, is_media_type
from registry.names import check_digest
from state.images import Image, list_referrers
from state.store import Session

_PAGE = 100
# Few at a time, since a referrer's annotations may be megabytes.
_BATCH = 8


async def get_referrers(ask: Ask) -> Response:
    """An index of the referrers, empty for a digest nobody has heard of; ``artifactType`` filters it.

    It is empty for an unknown repository, too: 404 would tell clients that there are no referrers in this registry,
    and they would keep lists of them under tags instead.
    """
    name, digest = ask.name, check_digest(ask.part("digest"))
    wanted, last = ask.query("artifactType"), last_seen(ask)

    def find(session: Session) -> tuple[list[dict[str, Any]], bool]:
        if wanted and not is_media_type(wanted):
            # Nothing can be of it, and not every store can be asked for any text.
            return [], False
        return _page(session, name, digest, wanted, after=last)

    found, more = await ask.read(find)
    headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
    if more:
        headers |= link(f"/v2/{name}/referrers/{digest}", artifactType=wanted, last=found[-1]["digest"])
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
    return Response(json.dumps(index, separators=(",", ":")), headers={**headers, "Content-Type": OCI_INDEX})


def _page(
    session: Session, repository: str, digest: str, wanted: str | None, *, after: str | None
) -> tuple[list[dict[str, Any]], bool]:
    """Descriptors that make an index of at most LARGEST bytes, and whether there are more."""
    found: list[dict[str, Any]] = []
    size = 200
    types = [wanted] if wanted else []
    while batch := list_referrers(
        session, repository, digest, status="ACTIVE", artifact_types=types, after=after, limit=_BATCH
    ):
        after = batch[-1].digest
        for image in batch:
            descriptor = _descriptor(image)
            size += len(json.dumps(descriptor)) + 1
            if found and (size > LARGEST or len(found) == _PAGE):
                return found, True
            found.append(descriptor)
    return found, False


def _descriptor(image: Image) -> dict[str, Any]:
    descriptor: dict[str, Any] = {
        "mediaType": image.media_type,
        "digest": image.digest,
        "size": image.body_size,
    }
    if image.artifact_type:
        descriptor["artifactType"] = image.artifact_type
    if image.annotations:
        descriptor["annotations"] = image.annotations
    return descriptor
