"""Claims: which process is fetching what from an upstream registry, so that the others wait for it.

A claim is renewed while its process lives; one that has run out is anybody's. It keeps two processes from doing the
same work at the same time, and nothing depends on it beyond that: whatever is fetched is kept like any push.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import String, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.images import SORTED_DIGEST
from state.repositories import SORTED_NAME

# How long one that has run out is still kept, for the next to find the table small.
_LITTER = timedelta(hours=1)


class UpstreamClaim(Base):
    """One claim. Its writer is the registry."""

    __tablename__ = "upstream_claims"

    # No foreign key: the repository is made while the claim is held.
    repository: Mapped[str] = mapped_column(SORTED_NAME, primary_key=True)
    # A tag or a digest.
    reference: Mapped[str] = mapped_column(SORTED_DIGEST, primary_key=True)
    holder: Mapped[str] = mapped_column(String(40))
    expires_at: Mapped[datetime] = mapped_column(index=True)


def claim_upstream(
    session: Session, repository: str, reference: str, holder: str, *, now: datetime, until: datetime
) -> bool:
    """Take the claim unless somebody else has it; say whether it is the holder's now."""
    query = select(UpstreamClaim).where(UpstreamClaim.repository == repository, UpstreamClaim.reference == reference)
    row = session.scalars(query.with_for_update()).one_or_none()
    if row is None:
        session.execute(delete(UpstreamClaim).where(UpstreamClaim.expires_at < now - _LITTER))
        session.add(UpstreamClaim(repository=repository, reference=reference, holder=holder, expires_at=until))
        return True
    if row.holder != holder and row.expires_at > now:
        return False
    row.holder, row.expires_at = holder, until
    return True


def is_claimed(session: Session, repository: str, reference: str, *, now: datetime) -> bool:
    row = session.get(UpstreamClaim, (repository, reference))
    return row is not None and row.expires_at > now


def renew_claims(session: Session, holder: str, *, until: datetime) -> None:
    """Let all claims of the holder last until then."""
    session.execute(update(UpstreamClaim).where(UpstreamClaim.holder == holder).values(expires_at=until))


def release_claims(session: Session, repository: str, references: Collection[str], holder: str) -> None:
    """Give the holder's claims back."""
    session.execute(
        delete(UpstreamClaim).where(
            UpstreamClaim.repository == repository,
            UpstreamClaim.reference.in_(references),
            UpstreamClaim.holder == holder,
        )
    )
