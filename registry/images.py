"""Images: putting, finding and deleting them, alike for ``docker push`` and for the ECR API.

Everything here runs inside the caller's transaction. Deleting hides an image at once; the bytes of its
layers are left to the garbage collector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kit.wildcards import matches_pattern
from registry.errors import (
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    PartOfList,
    TagImmutable,
    TagInvalid,
)
from registry.events import note_delete
from registry.manifests import Manifest
from registry.names import is_digest, is_tag
from registry.pushes import after_push
from state.blobs import linked_sizes
from state.images import (
    Image,
    add_image,
    delete_image,
    delete_tag,
    get_image,
    get_tag,
    give_tag,
    known_images,
    lists_that_need,
    move_tag,
    tagged_digest,
    tags_of,
)
from state.repositories import Repository, get_repository, lock_repository
from state.scans import get_scan
from state.store import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One manifest on its way into a repository under one digest and any number of tags."""

    digest: str
    body: bytes
    manifest: Manifest
    tags: Sequence[str]
    # Sent on by another registry: it goes no further from here.
    replicated: bool = False


def find_repository(session: Session, name: str, account: str) -> Repository:
    """The repository; raises NameUnknown in ECR's words."""
    return _existing(get_repository(session, name), name, account)


def find_image(session: Session, repository: str, reference: str, *, body: bool = False) -> Image:
    """The image of a tag or digest; raises ManifestUnknown."""
    digest: str | None = reference
    if not is_digest(reference):
        tag = get_tag(session, repository, reference) if is_tag(reference) else None
        digest = tag.digest if tag is not None else None
    image = get_image(session, repository, digest, body=body) if digest is not None else None
    if image is None:
        raise ManifestUnknown(
            f"Requested image not found: '{reference[:300]}' in repository '{repository}'",
            detail={"reference": reference[:300]},
        )
    return image


def put_image(
    session: Session, repository: str, push: Push, *, account: str, now: datetime, sparse: bool = False
) -> Image:
    """Keep the manifest and point its tags to it; a repeat changes nothing.

    Raises NameUnknown, ManifestBlobUnknown (once for every missing part, unless it may be ``sparse``), TagInvalid,
    TagImmutable.
    """
    # The lock makes "is this tag taken" and taking it one step.
    home = _existing(lock_repository(session, repository), repository, account)
    for tag in push.tags:
        if not is_tag(tag):
            raise TagInvalid(f"'{tag[:200]}' is not a valid tag")
    image = get_image(session, repository, push.digest)
    new = image is None
    if image is None:
        image = _add(session, repository, push, now, sparse=sparse)
    elif image.status != "ACTIVE":
        # Who pushes an image wants to pull it.
        image.status, image.activated_at = "ACTIVE", now
    moved = [name for name in push.tags if _point(session, home, name, push.digest)]
    if new or moved:
        after_push(session, image, moved, now=now, replicated=push.replicated)
    return image


def missing_parts(session: Session, repository: str, manifest: Manifest) -> list[str]:
    """The digests of the blobs and images that the manifest needs and the repository has not, in their order."""
    layers = linked_sizes(session, repository, manifest.blobs)
    children = known_images(session, repository, manifest.images)
    missing = [digest for digest in manifest.blobs if digest not in layers]
    return missing + [digest for digest in manifest.images if digest not in children]


def is_immutable(repository: Repository, tag: str) -> bool:
    """Whether the tag, once given, stays with its image."""
    excluded = any(matches_pattern(each["filter"], tag) for each in repository.mutability_filters)
    match repository.tag_mutability:
        case "IMMUTABLE":
            return True
        case "IMMUTABLE_WITH_EXCLUSION":
            return not excluded
        case "MUTABLE_WITH_EXCLUSION":
            return excluded
        case _:
            return False


def remove_tag(session: Session, repository: str, tag: str, *, now: datetime) -> None:
    """Take the tag away, and nothing else; raises ManifestUnknown."""
    found = get_tag(session, repository, tag) if is_tag(tag) else None
    if found is None:
        raise ManifestUnknown(f"tag '{tag[:200]}' is not known in repository '{repository}'")
    note_delete(session, repository, found.digest, tag, now=now)
    delete_tag(session, repository, tag)
    session.expire_all()


def remove_image(session: Session, repository: str, digest: str, *, now: datetime) -> None:
    """Take the image and every tag on it away, and its bill of materials; raises ManifestUnknown."""
    find_image(session, repository, digest)
    going = [digest, *list_beside(session, repository, digest)]
    tagged = tags_of(session, repository, going)
    for gone in going:
        for tag in tagged.get(gone, [None]):
            note_delete(session, repository, gone, tag, now=now)
        delete_image(session, repository, gone)
    # What the session remembers of the rows the database took along is no longer true.
    session.expire_all()


def check_unlisted(session: Session, repository: str, digest: str) -> None:
    """Raise PartOfList where a manifest list of the repository needs the image."""
    lists = lists_that_need(session, repository, digest)
    if lists and get_image(session, repository, digest) is not None:
        raise PartOfList(
            f"manifest '{digest}' is part of a manifest list; delete that first: {', '.join(lists[:10])}",
            detail={"digest": digest, "lists": list(lists[:10])},
        )


def list_beside(session: Session, repository: str, digest: str) -> list[str]:
    """What a scan put beside the image, and nobody tagged: it goes with it, since nobody else knows of it."""
    scan = get_scan(session, repository, digest)
    if scan is None or not scan.sbom or get_image(session, repository, scan.sbom) is None:
        return []
    return [] if tags_of(session, repository, [scan.sbom]) else [scan.sbom]


def _existing(found: Repository | None, name: str, account: str) -> Repository:
    if found is None:
        raise NameUnknown(
            f"The repository with name '{name}' does not exist in the registry with id '{account}'",
            detail={"name": name},
        )
    return found


def _add(session: Session, repository: str, push: Push, now: datetime, *, sparse: bool) -> Image:
    manifest = push.manifest
    missing = [] if sparse else missing_parts(session, repository, manifest)
    if missing:
        raise ManifestBlobUnknown(each=[{"digest": digest} for digest in missing], of_images=bool(manifest.images))
    children = known_images(session, repository, manifest.images)
    image = Image(
        repository=repository,
        digest=push.digest,
        media_type=manifest.media_type,
        artifact_type=manifest.artifact_type,
        subject=manifest.subject,
        annotations=manifest.annotations,
        body=push.body,
        body_size=len(push.body),
        size=sum(children.values()) if manifest.images else manifest.listed_size,
        pushed_at=now,
        status="ACTIVE",
    )
    needed = (("blob", manifest.blobs), ("image", manifest.images))
    add_image(session, image, [(kind, target) for kind, targets in needed for target in targets])
    return image


def _point(session: Session, repository: Repository, name: str, digest: str) -> bool:
    """Point the tag to the digest; say whether it did not already."""
    pointed = tagged_digest(session, repository.name, name)
    if pointed is None:
        give_tag(session, repository.name, name, digest)
    elif pointed == digest:
        return False
    else:
        if is_immutable(repository, name):
            raise TagImmutable(
                f"The image tag '{name}' already exists in the '{repository.name}' repository "
                "and cannot be overwritten because the tag is immutable."
            )
        move_tag(session, repository.name, name, digest)
    return True
