"""Images without a tag: which of them nothing needs, of one repository.

A part of a list goes after its list, and what is about an image after that image; so one that has to stay keeps what
hangs on it. What runs stays.
"""

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from kit.settings import Settings
from registry.uses import images_in_use
from state.images import get_image, lists_that_need, tags_of
from state.store import Session
from state.untagged import list_parts, list_untagged


def list_dispensable(session: Session, repository: str, settings: Settings, *, before: datetime) -> list[str]:
    """The digests of images pushed before then that can go, each after what it hangs on."""
    in_use = images_in_use(session, settings).get(repository, frozenset())
    subjects = {
        digest: subject for digest, subject in list_untagged(session, repository, before=before) if digest not in in_use
    }
    holders: Counter[str] = Counter()
    hanging: dict[str, list[str]] = {}
    bonds = [*list_parts(session, repository), *((subject, digest) for digest, subject in subjects.items() if subject)]
    for holder, held in bonds:
        holders[held] += 1
        hanging.setdefault(holder, []).append(held)
    free = [digest for digest in subjects if not holders[digest]]
    for digest in free:
        # Read while it grows: what this one was the last to hold comes free.
        for held in hanging.get(digest, ()):
            holders[held] -= 1
            if not holders[held] and held in subjects:
                free.append(held)
    return free


def still_dispensable(
    session: Session, repository: str, digests: Collection[str], settings: Settings, *, before: datetime
) -> list[str]:
    """Those of ``digests`` of which that is still so, but for what hangs on others of them."""
    in_use = images_in_use(session, settings).get(repository, frozenset())
    tagged = tags_of(session, repository, list(digests))
    left: list[str] = []
    for digest in digests:
        image = get_image(session, repository, digest)
        if image is None or digest in in_use or digest in tagged or image.pushed_at >= before:
            continue
        holders = {*lists_that_need(session, repository, digest)}
        if image.subject is not None and get_image(session, repository, image.subject) is not None:
            holders.add(image.subject)
        if holders <= set(left):
            left.append(digest)
    return left
