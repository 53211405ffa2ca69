"""Scrubs: how far the registry has come in reading its blobs again, and what it found wrong with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKey, String, bindparam, delete, exists, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.blobs import DIGEST, Blob, Condemnations
from state.images import Reference, Tag


class ScrubPlace(Base):
    """Where the scrub that runs by itself is. Its writer is the scrub loop."""

    __tablename__ = "registry_scrubs"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    # The last digest that was verified; empty at the beginning of a round.
    after: Mapped[str] = mapped_column(DIGEST)
    started_at: Mapped[datetime]
    # When the last whole round ended.
    ended_at: Mapped[datetime | None]


class BlobFault(Base):
    """A blob whose bytes are not what they were: ``corrupt`` or ``missing``. It goes with the blob."""

    __tablename__ = "blob_faults"

    digest: Mapped[str] = mapped_column(DIGEST, ForeignKey("blobs.digest", ondelete="CASCADE"), primary_key=True)
    fault: Mapped[str] = mapped_column(String(10))
    found_at: Mapped[datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hurt:
    """A faulty blob, and one image that needs it; no image needs it where ``repository`` is None."""

    digest: str
    fault: str
    repository: str | None = None
    image: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a digest stands whose bytes have come: whether older ones of it are being removed, how many times blobs were
    condemned so far, and whether those that are kept are damaged."""

    condemned: bool
    condemnations: int
    faulty: bool


STANDING = select(
    exists().where(Blob.digest == bindparam("digest"), Blob.condemned_until.is_not(None)),
    func.coalesce(select(Condemnations.number).where(Condemnations.id == 1).scalar_subquery(), 0),
    exists().where(BlobFault.digest == bindparam("digest")),
)


def standing_of(session: Session, digest: str) -> Standing:
    condemned, number, faulty = session.execute(STANDING, {"digest": digest}).one()
    return Standing(bool(condemned), number, bool(faulty))


def list_kept(session: Session, *, after: str, limit: int) -> list[tuple[str, int]]:
    """Digests and sizes of blobs that are kept, in an order that stays."""
    query = select(Blob.digest, Blob.size).where(Blob.digest > after, Blob.condemned_until.is_(None))
    return [(digest, size) for digest, size in session.execute(query.order_by(Blob.digest).limit(limit))]


def kept_totals(session: Session) -> tuple[int, int]:
    """How many blobs are kept, and their bytes."""
    row = session.execute(
        select(func.count(), func.coalesce(func.sum(Blob.size), 0)).where(Blob.condemned_until.is_(None))
    ).one()
    return int(row[0]), int(row[1])


def note_faults(session: Session, found: Mapping[str, str | None], *, now: datetime) -> None:
    """Record what was found of each digest, and forget the faults of those that are well."""
    held = select(Blob.digest).where(Blob.digest.in_(list(found)), Blob.condemned_until.is_(None))
    kept = set(session.scalars(held.with_for_update(read=True, key_share=True)))
    known = {row.digest: row for row in session.scalars(select(BlobFault).where(BlobFault.digest.in_(list(found))))}
    session.execute(delete(BlobFault).where(BlobFault.digest.in_([digest for digest in known if not found[digest]])))
    for digest, fault in found.items():
        if fault is None or digest not in kept:
            continue
        if digest in known:
            known[digest].fault = fault
        else:
            session.add(BlobFault(digest=digest, fault=fault, found_at=now))


def is_faulty(session: Session, digest: str) -> bool:
    """Whether the blob's bytes are known to be damaged."""
    return session.get(BlobFault, digest) is not None


def forget_fault(session: Session, digest: str) -> None:
    """The blob's bytes were verified anew."""
    session.execute(delete(BlobFault).where(BlobFault.digest == digest))


def count_faults(session: Session) -> int:
    """How many blobs are known to be corrupt or missing."""
    return session.scalar(select(func.count()).select_from(BlobFault)) or 0


def list_hurt(session: Session) -> list[Hurt]:
    """Every faulty blob with every image that needs it."""
    query = (
        select(BlobFault.digest, BlobFault.fault, Reference.repository, Reference.image, Tag.name)
        .join(Reference, (Reference.target == BlobFault.digest) & (Reference.kind == "blob"), isouter=True)
        .join(Tag, (Tag.repository == Reference.repository) & (Tag.digest == Reference.image), isouter=True)
        .order_by(BlobFault.digest, Reference.repository, Reference.image, Tag.name)
    )
    found: dict[tuple[str, str, str | None, str | None], list[str]] = {}
    for digest, fault, repository, image, tag in session.execute(query):
        found.setdefault((digest, fault, repository, image), []).extend([tag] if tag else [])
    return [
        Hurt(digest=digest, fault=fault, repository=repository, image=image, tags=tuple(tags))
        for (digest, fault, repository, image), tags in found.items()
    ]


def get_scrub_place(session: Session) -> ScrubPlace | None:
    return session.get(ScrubPlace, "scrub")
