"""Tags that were pulled from an upstream registry, and until when they are taken for what it has.

A tag that points to another image than its row says was pushed here since: it is its owner's, and not looked after.
"""

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.images import SORTED_DIGEST, TAG
from state.repositories import SORTED_NAME


class CachedTag(Base):
    """One tag of the cache. Its writer is the registry."""

    __tablename__ = "cached_tags"
    __table_args__ = (ForeignKeyConstraint(["repository"], ["repositories.name"], ondelete="CASCADE"),)

    repository: Mapped[str] = mapped_column(SORTED_NAME, primary_key=True)
    name: Mapped[str] = mapped_column(TAG, primary_key=True)
    digest: Mapped[str] = mapped_column(SORTED_DIGEST)
    # When the upstream is asked again.
    due_at: Mapped[datetime]


def get_cached_tag(session: Session, repository: str, name: str) -> CachedTag | None:
    return session.get(CachedTag, (repository, name))


def note_cached_tag(session: Session, repository: str, name: str, digest: str, *, due_at: datetime) -> None:
    """Remember what the upstream has under the tag, and when to ask again."""
    session.merge(CachedTag(repository=repository, name=name, digest=digest, due_at=due_at))
