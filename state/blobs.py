"""Blobs: the layers and configurations that are kept, once each, and the repositories they are visible in.

A row says that the blob's bytes are in the storage, durably and verified; it is written only after them. A row that is
condemned says the opposite: somebody is removing the bytes, and nobody may count on them. One key for both makes the
database decide between a push and the garbage collector. Unlinking a blob from a repository leaves all else to the
collector. See ``registry.collector``.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import BigInteger, Executable, ForeignKey, String, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.bulk import as_micros
from state.prepared import Prepared, values_of
from state.repositories import SORTED_NAME

DIGEST = String(140)


class BlobCollected(Exception):
    """The blob's bytes are being removed, or may have been since they were kept: keep them again, then record them."""


class Blob(Base):
    """One blob in the storage. Its writer is the registry."""

    __tablename__ = "blobs"

    digest: Mapped[str] = mapped_column(DIGEST, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    # Set while a collector, which it names, removes the bytes; after the instant another collector may take that over.
    # A condemned blob has no links.
    condemned_by: Mapped[str | None] = mapped_column(String(40))
    condemned_until: Mapped[datetime | None] = mapped_column(index=True)


class BlobLink(Base):
    """A blob is visible in a repository: it was pushed or mounted there. Its writer is the registry."""

    __tablename__ = "blob_links"

    repository: Mapped[str] = mapped_column(
        SORTED_NAME, ForeignKey("repositories.name", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(DIGEST, ForeignKey("blobs.digest"), primary_key=True, index=True)
    # Since when the collector has found that no image of the repository needs it; None: one does, or it was not looked.
    unused_since: Mapped[datetime | None]


class Condemnations(Base):
    """How many times blobs were condemned: who kept bytes meanwhile cannot know whether they are still there."""

    __tablename__ = "blob_condemnations"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]


def _add(dialect: str) -> Executable:
    insertion = sqlite.insert if dialect == "sqlite" else postgresql.insert
    values = values_of("digest", "size", "created_at")
    return insertion(Blob).values(values).on_conflict_do_nothing(index_elements=[Blob.digest]).inline()


def _show(dialect: str) -> Executable:
    insertion = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return (
        insertion(BlobLink)
        .values(values_of("repository", "digest"))
        # The collector has to wait anew; where it took the link away meanwhile, there is a new one.
        .on_conflict_do_update(index_elements=[BlobLink.repository, BlobLink.digest], set_={"unused_since": None})
        .inline()
    )


_ADD, _SHOW = Prepared(_add), Prepared(_show)
_HOLD = Prepared(
    select(Blob.condemned_until).where(Blob.digest == bindparam("digest")).with_for_update(read=True, key_share=True)
)
_CONDEMNATIONS = Prepared(select(Condemnations.number).where(Condemnations.id == 1))


def get_blob(session: Session, repository: str, digest: str) -> Blob | None:
    """The blob, when it is visible in the repository."""
    query = select(Blob).join(BlobLink, BlobLink.digest == Blob.digest)
    return session.scalar(query.where(BlobLink.repository == repository, BlobLink.digest == digest))


def get_blob_anywhere(session: Session, digest: str) -> Blob | None:
    """The blob, when it is visible in any repository."""
    query = select(Blob).join(BlobLink, BlobLink.digest == Blob.digest)
    return session.scalar(query.where(Blob.digest == digest).limit(1))


def repositories_with(session: Session, digest: str, *, first: str | None, limit: int) -> list[str]:
    """At most ``limit`` repositories in which the blob is visible, ``first`` before all others if it is one."""
    query = select(BlobLink.repository).where(BlobLink.digest == digest)
    preferred = [] if first is None else list(session.scalars(query.where(BlobLink.repository == first)))
    others = query.where(BlobLink.repository.not_in(preferred)) if preferred else query
    return preferred + list(session.scalars(others.order_by(BlobLink.repository).limit(limit - len(preferred))))


def linked_sizes(session: Session, repository: str, digests: Iterable[str]) -> dict[str, int]:
    """The sizes of those of ``digests`` that are visible in the repository."""
    wanted = list(digests)
    found: dict[str, int] = {}
    for start in range(0, len(wanted), 500):
        query = (
            select(Blob.digest, Blob.size)
            .join(BlobLink, BlobLink.digest == Blob.digest)
            .where(BlobLink.repository == repository, BlobLink.digest.in_(wanted[start : start + 500]))
        )
        found.update((digest, size) for digest, size in session.execute(query))
    return found


def keep_blob(
    session: Session, repository: str, digest: str, size: int, *, now: datetime, since: int | None = None
) -> None:
    """Record that the blob is in the storage and visible in the repository; a repeat changes nothing.

    ``since`` are the ``condemnations`` before its bytes were kept. Raises BlobCollected.
    """
    if _ADD.rows(session, digest=digest, size=size, created_at=as_micros(now)):
        # Asked once the key is ours: nobody can condemn the blob any more, so what is not counted does not concern it.
        if since is not None and condemnations(session) != since:
            raise BlobCollected(digest)
    elif not _hold_blob(session, digest):
        raise BlobCollected(digest)
    _SHOW.rows(session, repository=repository, digest=digest)


def show_blob(session: Session, repository: str, digest: str) -> bool:
    """Make a blob that is kept visible in the repository; say whether there is one."""
    held = _hold_blob(session, digest)
    if held:
        _SHOW.rows(session, repository=repository, digest=digest)
    return held


def condemnations(session: Session) -> int:
    """How many times blobs were condemned."""
    row = _CONDEMNATIONS.row(session)
    return 0 if row is None else int(row[0])


def list_unused(session: Session, repository: str, digests: Iterable[str]) -> list[str]:
    """Those of ``digests`` that are visible in the repository and wait there for the collector."""
    found: list[str] = []
    wanted = list(digests)
    for start in range(0, len(wanted), 500):
        found += session.scalars(
            select(BlobLink.digest).where(
                BlobLink.repository == repository,
                BlobLink.digest.in_(wanted[start : start + 500]),
                BlobLink.unused_since.is_not(None),
            )
        )
    return found


def revive_blobs(session: Session, repository: str, digests: Iterable[str]) -> None:
    """Have the collector begin to wait again: somebody was told that these blobs need not be pushed."""
    wanted = list(digests)
    for start in range(0, len(wanted), 500):
        session.execute(
            update(BlobLink)
            .where(BlobLink.repository == repository, BlobLink.digest.in_(wanted[start : start + 500]))
            .values(unused_since=None)
            .execution_options(synchronize_session=False)
        )


def unlink_blob(session: Session, repository: str, digest: str) -> bool:
    """Hide the blob from the repository; say whether it was visible."""
    link = session.get(BlobLink, (repository, digest))
    if link is None:
        return False
    session.execute(delete(BlobLink).where(BlobLink.repository == repository, BlobLink.digest == digest))
    return True


def _hold_blob(session: Session, digest: str) -> bool:
    """Hold the blob against its condemnation until the transaction ends; False when it is condemned, or gone."""
    row = _HOLD.row(session, digest=digest)
    return row is not None and row[0] is None
