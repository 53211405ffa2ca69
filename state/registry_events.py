"""Registry events: what was pushed, deleted and scanned, in the order it happened. Append-only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import String, delete, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base, Serial, encode_document
from state.blobs import DIGEST
from state.bulk import as_micros
from state.prepared import Prepared, values_of
from state.repositories import SORTED_NAME


class RegistryEvent(Base):
    """One event. Its writer is the registry."""

    __tablename__ = "registry_events"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    # EventBridge's ``detail-type`` and ``detail``.
    detail_type: Mapped[str] = mapped_column(String(60))
    repository: Mapped[str] = mapped_column(SORTED_NAME)
    digest: Mapped[str | None] = mapped_column(DIGEST)
    detail: Mapped[dict[str, Any]]


_EVENT = ("at", "detail_type", "repository", "digest", "detail")
_APPEND = Prepared(insert(RegistryEvent).values(values_of(*_EVENT)).inline())


def append_registry_event(
    session: Session, detail_type: str, repository: str, digest: str | None, detail: dict[str, Any], *, now: datetime
) -> None:
    """Append one event."""
    _APPEND.rows(
        session,
        at=as_micros(now),
        detail_type=detail_type,
        repository=repository,
        digest=digest,
        detail=encode_document(detail),
    )


def list_registry_events(
    session: Session, *, after: int = 0, repository: str | None = None, limit: int = 1000
) -> Sequence[RegistryEvent]:
    """Events beyond the number ``after``, the oldest first."""
    query = select(RegistryEvent).where(RegistryEvent.id > after).order_by(RegistryEvent.id).limit(limit)
    return session.scalars(query if repository is None else query.where(RegistryEvent.repository == repository)).all()


def forget_registry_events(session: Session, *, before: datetime) -> None:
    """Delete events older than ``before``."""
    session.execute(delete(RegistryEvent).where(RegistryEvent.at < before))
