"""Blobs: the layers and configurations that are kept, once each, and the repositories they are visible in.

A row says that the blob's bytes are in the storage, durably and verified; it is written only after them.
Unlinking a blob from a repository leaves the row and the bytes to the garbage collector.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.repositories import SORTED_NAME

DIGEST = String(140)


class Blob(Base):
    """One blob in the storage. Its writer is the registry."""

    __tablename__ = "blobs"

    digest: Mapped[str] = mapped_column(DIGEST, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]


class BlobLink(Base):
    """A blob is visible in a repository: it was pushed or mounted there. Its writer is the registry."""

    __tablename__ = "blob_links"

    repository: Mapped[str] = mapped_column(
        SORTED_NAME, ForeignKey("repositories.name", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(DIGEST, ForeignKey("blobs.digest"), primary_key=True, index=True)


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


def keep_blob(session: Session, repository: str, digest: str, size: int, *, now: datetime) -> None:
    """Record that the blob is in the storage and visible in the repository; a repeat changes nothing."""
    if session.get(Blob, digest) is None:
        session.add(Blob(digest=digest, size=size, created_at=now))
        session.flush()
    if session.get(BlobLink, (repository, digest)) is None:
        session.add(BlobLink(repository=repository, digest=digest))


def unlink_blob(session: Session, repository: str, digest: str) -> bool:
    """Hide the blob from the repository; say whether it was visible."""
    link = session.get(BlobLink, (repository, digest))
    if link is None:
        return False
    session.execute(delete(BlobLink).where(BlobLink.repository == repository, BlobLink.digest == digest))
    return True
