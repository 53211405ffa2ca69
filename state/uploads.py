"""Uploads: sessions in which a blob arrives piece by piece.

The row says that the session exists and whose it is. How many bytes have arrived is not here: that is
the size of the session's spool in the storage, so that no crash can make the two disagree.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ForeignKey, String, bindparam, delete, false, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.bulk import as_micros
from state.prepared import Prepared, values_of
from state.repositories import SORTED_NAME


class Upload(Base):
    """One upload session. Its writer is the registry."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    repository: Mapped[str] = mapped_column(
        SORTED_NAME, ForeignKey("repositories.name", ondelete="CASCADE"), index=True
    )
    started_at: Mapped[datetime] = mapped_column(index=True)
    # Of the parts that came over the ECR API: how many, whether the last one was a short one, and whether one was
    # short that was not the last.
    parts: Mapped[int] = mapped_column(default=0, server_default="0")
    short_end: Mapped[bool] = mapped_column(default=False, server_default=false())
    short_part: Mapped[bool] = mapped_column(default=False, server_default=false())


_ADD = Prepared(
    insert(Upload).values(values_of("id", "repository", "started_at", "parts", "short_end", "short_part")).inline()
)
_DELETE = Prepared(delete(Upload).where(Upload.id == bindparam("upload")))


def add_upload(session: Session, upload: str, repository: str, *, now: datetime) -> None:
    """Begin a session of a repository that is held."""
    began = as_micros(now)
    _ADD.rows(session, id=upload, repository=repository, started_at=began, parts=0, short_end=False, short_part=False)


def get_upload(session: Session, repository: str, upload: str) -> Upload | None:
    """The session, when it is of this repository."""
    row = session.get(Upload, upload)
    return row if row is not None and row.repository == repository else None


def note_part(session: Session, upload: str, *, short: bool) -> None:
    """Count one more part of the session, which is shorter than the last one alone may be."""
    row = session.get(Upload, upload)
    if row is not None:
        row.parts += 1
        row.short_part = row.short_part or row.short_end
        row.short_end = short


def delete_upload(session: Session, upload: str) -> None:
    _DELETE.rows(session, upload=upload)


def list_uploads_started_before(session: Session, instant: datetime, *, limit: int = 1000) -> Sequence[str]:
    """The ids of sessions that began before ``instant``, the oldest first."""
    query = select(Upload.id).where(Upload.started_at < instant).order_by(Upload.started_at).limit(limit)
    return session.scalars(query).all()


def list_known_uploads(session: Session, ids: Sequence[str]) -> set[str]:
    """Those of ``ids`` that are sessions."""
    found: set[str] = set()
    for start in range(0, len(ids), 500):
        found.update(session.scalars(select(Upload.id).where(Upload.id.in_(ids[start : start + 500]))))
    return found
