"""Access keys: who may sign requests. Secrets are encrypted at rest with the installation's master key."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base


class AccessKey(Base):
    """One key pair, long-lived (AKIA…) or of a session (ASIA…, with a session token and an end)."""

    __tablename__ = "access_keys"

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    # Both ciphertexts are kit.secrets' (Fernet) text.
    secret: Mapped[str]
    session_token: Mapped[str | None]
    principal_arn: Mapped[str] = mapped_column(String(400), index=True)
    # Globs over ``service:Operation`` that the key may call.
    actions: Mapped[list[str]]
    expires_at: Mapped[datetime | None] = mapped_column(index=True)
    created_at: Mapped[datetime]


def get_access_key(session: Session, key_id: str) -> AccessKey | None:
    return session.get(AccessKey, key_id)


def list_principal_keys(session: Session, principal_arn: str) -> Sequence[AccessKey]:
    """A principal's long-lived keys, oldest first; sessions are not among them."""
    return session.scalars(
        select(AccessKey)
        .where(AccessKey.principal_arn == principal_arn, AccessKey.session_token.is_(None))
        .order_by(AccessKey.created_at, AccessKey.id)
    ).all()


def end_sessions(session: Session) -> None:
    """Delete every session's key."""
    session.execute(delete(AccessKey).where(AccessKey.session_token.is_not(None)))


def forget_access_keys(session: Session, *, now: datetime) -> None:
    """Delete sessions that ended."""
    session.execute(delete(AccessKey).where(AccessKey.expires_at <= now))
