"""Credentials for other registries, sealed with the installation's master key."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base


class UpstreamCredential(Base):
    """One user name and password, under the ARN by which pull-through rules name it. Its writer is the operator."""

    __tablename__ = "upstream_credentials"

    arn: Mapped[str] = mapped_column(String(612), primary_key=True)
    sealed: Mapped[str]
    updated_at: Mapped[datetime]


def get_credential(session: Session, arn: str) -> UpstreamCredential | None:
    return session.get(UpstreamCredential, arn)


def list_credentials(session: Session) -> Sequence[UpstreamCredential]:
    """All of them, in the order of their ARNs."""
    return session.scalars(select(UpstreamCredential).order_by(UpstreamCredential.arn)).all()
