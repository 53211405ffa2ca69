"""Carrying out what the evaluator found, and moving single images between storage classes.

Everything is looked at again under the repository's lock: an image that got or lost a tag, came into use or became
part of a list since it was looked at stays, and the next evaluation sees it as it is then.
"""

from collections.abc import Sequence
from datetime import datetime

from registry.images import remove_image
from registry.lifecycle.evaluate import Fate, storage_class_of
from registry.lifecycle.sight import Uses
from state.images import Image, get_image, list_referrers, lists_that_need, tags_of
from state.repositories import lock_repository
from state.store import Session

_REFERRERS = 100


def carry_out(session: Session, repository: str, fates: Sequence[Fate], *, uses: Uses, now: datetime) -> int:
    """Expire and archive; say how many images. A repeat does nothing more."""
    if lock_repository(session, repository) is None:
        return 0
    in_use = uses.get(repository, frozenset())
    tags = tags_of(session, repository, [fate.image.digest for fate in fates])
    done = 0
    for fate in fates:
        seen = fate.image
        image = get_image(session, repository, seen.digest)
        if (
            image is None
            or storage_class_of(image.status) != seen.storage_class
            or tuple(tags.get(seen.digest, ())) != seen.tags
            or seen.digest in in_use
            or lists_that_need(session, repository, seen.digest)
        ):
            continue
        if fate.action == "EXPIRE":
            _expire(session, repository, seen.digest, now)
        else:
            archive(image, now=now)
        done += 1
    return done


def archive(image: Image, *, now: datetime) -> None:
    """Put the image where it is kept and not pulled."""
    image.status, image.archived_at = "ARCHIVED", now


def activate(image: Image, *, now: datetime) -> None:
    """Take the image out of the archive. Here it can be pulled at once."""
    image.status, image.activated_at = "ACTIVE", now


def _expire(session: Session, repository: str, digest: str, now: datetime) -> None:
    """Remove the image and what is about it alone: signatures, inventories, and what is about those."""
    remove_image(session, repository, digest, now=now)
    waiting, seen = [digest], {digest}
    while waiting:
        subject = waiting.pop()
        for referrer in list_referrers(session, repository, subject, after=None, limit=_REFERRERS):
            about = referrer.digest
            if about in seen or tags_of(session, repository, [about]):
                continue
            seen.add(about)
            waiting.append(about)
            remove_image(session, repository, about, now=now)
