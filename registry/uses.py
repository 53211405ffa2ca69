"""Uses: which images must not go because something runs them, or will.

Told by the names that tasks, services, jobs and schedules give, with tags as they point now. Which host a name
speaks of is not asked: a registry's address changes, and the definitions that name the old one stay. So an image of
another registry's repository of the same name is protected here as well, which costs room and breaks nothing.
"""

import re
from collections.abc import Iterable, Mapping

from sqlalchemy.orm import Session

from kit.settings import Settings
from registry.names import is_digest, is_name, is_tag
from state.image_uses import digests_of_tags, list_image_uses, parts_of_lists

Name = tuple[str, str]
"""A repository with a tag or a digest."""

_URI = re.compile(r"(?P<host>[^/]+)/(?P<repository>[^:@]+)(?::(?P<tag>[^:@]+))?(?:@(?P<digest>.+))?")
_LATEST = "latest"


def images_in_use(session: Session, settings: Settings) -> Mapping[str, frozenset[str]]:
    """Digests by repository that a task, a service, a job that has not ended or a schedule needs.

    A list of images is in use with all of its parts. Nothing is, where the operator has turned protection off.
    """
    if not settings.registry_protect_in_use:
        return {}
    tagged: set[Name] = set()
    found: set[Name] = set()
    for uri, digest in list_image_uses(session):
        name = read_uri(uri)
        if name is None:
            continue
        repository, reference = name
        if is_digest(reference):
            found.add(name)
        else:
            tagged.add(name)
        # What runs may be what the tag pointed to before.
        if digest is not None and is_digest(digest):
            found.add((repository, digest))
    found |= digests_of_tags(session, tagged)
    found |= _parts(session, found)
    return _by_repository(found)


def read_uri(uri: str) -> Name | None:
    """The repository and the digest or tag of ``HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]``; None for other names.

    A name without a host is Docker Hub's.
    """
    said = _URI.fullmatch(uri)
    if said is None or not _is_host(said["host"]) or not is_name(said["repository"]):
        return None
    if said["digest"]:
        return (said["repository"], said["digest"]) if is_digest(said["digest"]) else None
    tag = said["tag"] or _LATEST
    return (said["repository"], tag) if is_tag(tag) else None


def _is_host(text: str) -> bool:
    # As Docker tells a host from the first part of a name.
    return "." in text or ":" in text or text == "localhost"


def _parts(session: Session, lists: set[Name]) -> set[Name]:
    found: set[Name] = set()
    waiting = lists
    while waiting:
        waiting = parts_of_lists(session, waiting) - found - lists
        found |= waiting
    return found


def _by_repository(names: Iterable[Name]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for repository, digest in names:
        found.setdefault(repository, set()).add(digest)
    return {repository: frozenset(digests) for repository, digests in found.items()}
