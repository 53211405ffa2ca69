"""Images without a tag, what they hang on, and which layers only some images need. See ``registry.untagged``."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from state.blobs import Blob, BlobLink
from state.garbage import NEEDED, PAGE, LooseLink
from state.images import Image, Reference, Tag

_UNTAGGED = ~exists().where(Tag.repository == Image.repository, Tag.digest == Image.digest)


def repositories_with_untagged(session: Session, *, before: datetime) -> Sequence[str]:
    """The names of repositories with images that were pushed before then and have no tag."""
    query = select(Image.repository).where(Image.pushed_at < before, _UNTAGGED)
    return session.scalars(query.distinct().order_by(Image.repository)).all()


def list_untagged(session: Session, repository: str, *, before: datetime) -> list[tuple[str, str | None]]:
    """The digests and, where they are here, the subjects of images that were pushed before then and have no tag."""
    about = aliased(Image)
    query = (
        select(Image.digest, about.digest.label("subject"))
        .join(about, and_(about.repository == Image.repository, about.digest == Image.subject), isouter=True)
        .where(Image.repository == repository, Image.pushed_at < before, _UNTAGGED)
    )
    return [(digest, subject) for digest, subject in session.execute(query.order_by(Image.digest))]


def list_parts(session: Session, repository: str) -> list[tuple[str, str]]:
    """Every list of images of the repository with each of its parts."""
    query = select(Reference.image, Reference.target).where(
        Reference.repository == repository, Reference.kind == "image"
    )
    return [(image, target) for image, target in session.execute(query)]


def list_freed_links(session: Session, repository: str, images: Collection[str]) -> list[LooseLink]:
    """The links that no image of the repository but ``images`` needs, as if these were gone."""
    needing: Counter[str] = Counter()
    of_blobs = (Reference.repository == repository, Reference.kind == "blob")
    for some in _chunks(images):
        needing.update(session.scalars(select(Reference.target).where(*of_blobs, Reference.image.in_(some))))
    freed: list[LooseLink] = []
    for some in _chunks(sorted(needing)):
        all_needing = (
            select(Reference.target, func.count())
            .where(*of_blobs, Reference.target.in_(some))
            .group_by(Reference.target)
        )
        digests = [target for target, count in session.execute(all_needing) if count == needing[target]]
        links = (
            select(BlobLink.digest, Blob.size, BlobLink.unused_since)
            .join(Blob, Blob.digest == BlobLink.digest)
            .where(BlobLink.repository == repository, BlobLink.digest.in_(digests))
        )
        freed += [
            LooseLink(repository=repository, digest=digest, size=size, needed=False, unused_since=since)
            for digest, size, since in session.execute(links)
        ]
    return freed


def list_freed_blobs(
    session: Session, swept: Collection[tuple[str, str]], *, leaving: datetime, now: datetime
) -> dict[str, int]:
    """Blobs of links that would be ``swept`` and are in no other repository, unless they would be swept there, too.

    Such are those that are unused since ``leaving``, if they were marked ``now`` at the latest.
    """
    going: dict[str, int] = {}
    staying: set[str] = set()
    for some in _chunks(sorted({digest for _, digest in swept})):
        query = select(BlobLink.repository, Blob.digest, Blob.size, NEEDED, BlobLink.unused_since)
        query = query.join(Blob, Blob.digest == BlobLink.digest).where(BlobLink.digest.in_(some))
        for repository, digest, size, needed, since in session.execute(query):
            going[digest] = size
            if (repository, digest) not in swept and (needed or (since or now) > leaving):
                staying.add(digest)
    return {digest: size for digest, size in going.items() if digest not in staying}


def _chunks(digests: Collection[str]) -> Iterator[list[str]]:
    every = list(digests)
    return (every[start : start + PAGE] for start in range(0, len(every), PAGE))
