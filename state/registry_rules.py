"""Registry rules: the registry's scanning and signing configuration, one row each, as the client gave them."""

from datetime import datetime
from typing import Any

from sqlalchemy import String, bindparam, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.prepared import Prepared

SCANNING, SIGNING = "scanning", "signing"


class RegistryRules(Base):
    """One configuration. Its writer is the API."""

    __tablename__ = "registry_rules"

    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    document: Mapped[dict[str, Any]]
    changed_at: Mapped[datetime]


_KNOWN = Prepared(select(RegistryRules.kind).where(RegistryRules.kind == bindparam("kind")))


def get_rules(session: Session, kind: str) -> dict[str, Any] | None:
    # Every push asks, and most registries have none.
    if _KNOWN.row(session, kind=kind) is None:
        return None
    row = session.get(RegistryRules, kind)
    return None if row is None else row.document


def put_rules(session: Session, kind: str, document: dict[str, Any], *, now: datetime) -> None:
    session.merge(RegistryRules(kind=kind, document=document, changed_at=now))


def delete_rules(session: Session, kind: str) -> dict[str, Any] | None:
    """Forget the configuration; answers what it was, if there was one."""
    row = session.get(RegistryRules, kind)
    if row is None:
        return None
    session.delete(row)
    return row.document
