"""Client tokens: what a repeated request was answered the first time."""

from datetime import datetime
from typing import Any

from sqlalchemy import String, delete
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base


class ClientToken(Base):
    """One answered request: its fingerprint tells a repeat from a different request with the same token."""

    __tablename__ = "client_tokens"

    operation: Mapped[str] = mapped_column(String(120), primary_key=True)
    token: Mapped[str] = mapped_column(String(128), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    # The answer as the handler gave it, instants included, encoded by the API's frame.
    answer: Mapped[dict[str, Any]]
    expires_at: Mapped[datetime] = mapped_column(index=True)


def get_client_token(session: Session, operation: str, token: str, *, now: datetime) -> ClientToken | None:
    row = session.get(ClientToken, (operation, token))
    return row if row is not None and row.expires_at > now else None


def forget_client_tokens(session: Session, *, now: datetime) -> None:
    session.execute(delete(ClientToken).where(ClientToken.expires_at <= now))
