"""Garbage: which links and blobs nothing needs, and the steps by which they go. See ``registry.collector``.

Lists are read a page at a time in the order of their keys, so that no statement and no transaction is long.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import String, and_, delete, exists, false, func, or_, select, tuple_, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.blobs import Blob, BlobLink, Condemnations
from state.images import Reference

PAGE = 500


class CollectionEnd(Base):
    """The last collection that came to its end, and what it did. Its writer is the collector."""

    __tablename__ = "registry_collections"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    ended_at: Mapped[datetime]
    told: Mapped[dict[str, Any]]


def get_collection(session: Session) -> CollectionEnd | None:
    """The last collection of garbage."""
    return session.get(CollectionEnd, "garbage")


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseLink:
    """A link that no image needs, or that is marked so."""

    repository: str
    digest: str
    size: int
    needed: bool
    unused_since: datetime | None

    @property
    def key(self) -> tuple[str, str]:
        return self.repository, self.digest


NEEDED = exists().where(
    Reference.repository == BlobLink.repository, Reference.target == BlobLink.digest, Reference.kind == "blob"
)


def list_loose_links(session: Session, *, after: tuple[str, str] | None) -> list[LooseLink]:
    """A page of links that no image of their repository needs, and of those that are marked so but are needed."""
    query = (
        select(BlobLink.repository, BlobLink.digest, Blob.size, NEEDED.label("needed"), BlobLink.unused_since)
        .join(Blob, Blob.digest == BlobLink.digest)
        .where(or_(~NEEDED, BlobLink.unused_since.is_not(None)))
        .order_by(BlobLink.repository, BlobLink.digest)
        .limit(PAGE)
    )
    if after is not None:
        query = query.where(tuple_(BlobLink.repository, BlobLink.digest) > after)
    return [
        LooseLink(repository=repository, digest=digest, size=size, needed=bool(needed), unused_since=since)
        for repository, digest, size, needed, since in session.execute(query)
    ]


def mark_links(session: Session, repository: str, digests: Collection[str], *, now: datetime) -> None:
    """Begin to wait with these links, and end waiting with those that are needed."""
    some = (BlobLink.repository == repository, BlobLink.digest.in_(digests))
    for unused, since in ((NEEDED, None), (and_(~NEEDED, BlobLink.unused_since.is_(None)), now)):
        session.execute(update(BlobLink).where(*some, unused).values(unused_since=since).execution_options(**_UNSEEN))


def sweep_links(session: Session, repository: str, digests: Collection[str], *, before: datetime) -> set[str]:
    """Take away those of the links that are still unused, and were since ``before``; answers them.

    The caller holds the repository, so that no image can come to need one meanwhile.
    """
    swept = session.scalars(
        delete(BlobLink)
        .where(BlobLink.repository == repository, BlobLink.digest.in_(digests))
        .where(BlobLink.unused_since <= before, ~NEEDED)
        .returning(BlobLink.digest)
        .execution_options(**_UNSEEN)
    )
    return set(swept)


def list_unlinked(
    session: Session, *, after: str | None, leaving: datetime | None = None, now: datetime | None = None
) -> list[tuple[str, int]]:
    """Digests and sizes of a page of blobs that no repository shows and nobody removes yet.

    With ``leaving`` also those whose last links would be swept at ``now``, unused as they are since that instant.
    """
    staying = exists().where(BlobLink.digest == Blob.digest)
    if leaving is not None and now is not None:
        # Without a mark a link would be marked now.
        unmarked = BlobLink.unused_since.is_(None) if leaving < now else false()
        staying = staying.where(or_(NEEDED, unmarked, BlobLink.unused_since > leaving))
    query = select(Blob.digest, Blob.size).where(Blob.condemned_until.is_(None), ~staying)
    if after is not None:
        query = query.where(Blob.digest > after)
    return [(digest, size) for digest, size in session.execute(query.order_by(Blob.digest).limit(PAGE))]


def known_blobs(session: Session, digests: Sequence[str]) -> set[str]:
    """Those of ``digests`` that have a row, condemned or not."""
    return set(session.scalars(select(Blob.digest).where(Blob.digest.in_(digests))))


def condemn(
    session: Session,
    digests: Collection[str],
    orphans: Mapping[str, int],
    *,
    by: str,
    now: datetime,
    until: datetime,
    dead: Collection[str] = (),
) -> dict[str, int]:
    """Condemn blobs that nothing shows, and bytes without a row (``orphans``, with their sizes).

    Answers what is condemned by this, with sizes. What somebody needs, or another collector that is not among the
    ``dead`` removes, is left out.
    """
    counted = session.execute(
        update(Condemnations)
        .where(Condemnations.id == 1)
        .values(number=Condemnations.number + 1)
        .execution_options(**_UNSEEN)
    )
    if not counted.rowcount:  # type: ignore[attr-defined]
        session.add(Condemnations(id=1, number=1))
        session.flush()
    # Held in full, and links looked for only then: whoever shows the blob in a repository holds its row, too.
    rows = session.scalars(
        select(Blob).where(Blob.digest.in_(list(digests))).order_by(Blob.digest).with_for_update()
    ).all()
    linked = set(session.scalars(select(BlobLink.digest).where(BlobLink.digest.in_([row.digest for row in rows]))))
    condemned: dict[str, int] = {}
    for row in rows:
        free = row.condemned_until is None or row.condemned_until < now or row.condemned_by in (by, *dead)
        if row.digest not in linked and free:
            row.condemned_by, row.condemned_until = by, until
            condemned[row.digest] = row.size
    known = known_blobs(session, list(orphans)) if orphans else set()
    for digest in sorted(orphans.keys() - known):
        # Of a push that records the same digest now one fails on the key, and begins again.
        size = orphans[digest]
        session.add(Blob(digest=digest, size=size, created_at=now, condemned_by=by, condemned_until=until))
        condemned[digest] = size
    session.flush()
    return condemned


def list_condemners(session: Session) -> dict[str, datetime]:
    """The collectors that have begun to remove blobs and not ended, and until when these are theirs."""
    query = select(Blob.condemned_by, func.max(Blob.condemned_until)).where(Blob.condemned_until.is_not(None))
    return {str(name): until for name, until in session.execute(query.group_by(Blob.condemned_by)) if until}


def list_condemned(session: Session, *, by: Collection[str]) -> list[str]:
    """A page of the digests that these collectors have condemned."""
    query = select(Blob.digest).where(Blob.condemned_until.is_not(None), Blob.condemned_by.in_(by))
    return list(session.scalars(query.limit(PAGE)))


def forget_condemned(session: Session, digests: Collection[str], *, by: str) -> None:
    """The bytes are gone: forget the rows that this collector condemned."""
    session.execute(
        delete(Blob).where(Blob.digest.in_(list(digests)), Blob.condemned_by == by).execution_options(**_UNSEEN)
    )


def by_repository(keys: Sequence[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """The second members by the first."""
    found: dict[str, list[str]] = {}
    for repository, digest in keys:
        found.setdefault(repository, []).append(digest)
    yield from found.items()


_UNSEEN = {"synchronize_session": False}
