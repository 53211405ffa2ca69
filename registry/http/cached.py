"""The cache over HTTP: what is not here, or may be out of date, is pulled through by those who may import it.

Whoever may not is served what is here, and hears of what is not that importing it is denied.
"""

import asyncio
from concurrent.futures import Future
from typing import TypeVar

from registry.cache.access import import_refusal, is_due
from registry.cache.arrivals import Arrival
from registry.cache.errors import told
from registry.cache.fetching import Fetched
from registry.cache.sources import source_of
from registry.errors import Denied, ManifestUnknown, NameUnknown, RegistryError
from registry.http.frame import Ask, is_sent_on
from registry.images import find_image, find_repository
from registry.upstream import UpstreamError
from state.images import Image
from state.repositories import get_repository
from state.store import Session

T = TypeVar("T")


async def find_manifest(ask: Ask, name: str, reference: str) -> Image | Fetched:
    """The image of a tag or digest; raises NameUnknown, ManifestUnknown, Denied, and what an upstream is to blame for.

    ``Cache-Control: no-cache`` has a tag held against the upstream's now.
    """
    reading = ask.request.method == "GET"
    forced = reading and ":" not in reference and "no-cache" in ask.request.headers.get("cache-control", "").lower()
    now = ask.room.clock.now()

    def look(session: Session) -> tuple[Image | None, RegistryError | None, bool]:
        image: Image | None = None
        trouble: RegistryError | None = None
        try:
            find_repository(session, name, ask.room.settings.account)
            image = find_image(session, name, reference, body=reading)
        except (NameUnknown, ManifestUnknown) as error:
            trouble = error
        if is_sent_on(ask.request) or (
            image is not None and not (forced or is_due(session, image, reference, now=now))
        ):
            return image, trouble, False
        if source_of(session, name) is None:
            return image, trouble, False
        denied = import_refusal(session, ask.asker, name, arns=ask.room.arns, now=now)
        if denied is not None and image is None and reading:
            trouble = Denied(denied)
        return image, trouble, denied is None

    image, trouble, pulled = await ask.read(look)
    if pulled and (image is None or image.status == "ACTIVE"):
        try:
            return await landed(ask.room.cache.image(name, reference, forced=forced))
        except UpstreamError as error:
            if image is None or forced:
                raise told(error, name, reference) from None
    if image is None:
        raise trouble or ManifestUnknown
    return image


async def pull_blob(ask: Ask, name: str, digest: str, *, follows: bool) -> Arrival | bool:
    """Pull a blob through that is not here: True once it is, False where it is not to be had that way.

    Who ``follows`` may instead be given what arrives. Raises as ``find_manifest``.
    """
    # Asking whether a blob is here is what pushes do; but what a manifest named a moment ago is as good as here.
    if is_sent_on(ask.request) or (ask.request.method == "HEAD" and not ask.room.cache.names(name, digest)):
        return False

    def look(session: Session) -> bool:
        if get_repository(session, name) is None or source_of(session, name) is None:
            return False
        return import_refusal(session, ask.asker, name, arns=ask.room.arns, now=ask.room.clock.now()) is None

    if not await ask.read(look):
        return False
    try:
        arrival = await landed(ask.room.cache.blob(name, digest))
        if arrival is not None and follows and not arrival.kept.done():
            return arrival
        if arrival is not None:
            await landed(arrival.kept)
    except UpstreamError as error:
        raise told(error, name, digest, blob=True) from None
    return True


async def landed(future: "Future[T]") -> T:
    """What the future brings. Who stops waiting stops nobody else's."""
    return await asyncio.shield(asyncio.wrap_future(future))
