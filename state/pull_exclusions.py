"""Pull-time exclusions: principals whose pulls leave no trace in an image's last pull. Their writer is the API."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base


class PullExclusion(Base):
    """One excluded principal."""

    __tablename__ = "pull_exclusions"

    principal_arn: Mapped[str] = mapped_column(String(200), primary_key=True)
    created_at: Mapped[datetime]


def get_pull_exclusion(session: Session, principal_arn: str) -> PullExclusion | None:
    return session.get(PullExclusion, principal_arn)


def list_pull_exclusions(session: Session) -> Sequence[str]:
    """The excluded principals' ARNs, sorted."""
    return session.scalars(select(PullExclusion.principal_arn).order_by(PullExclusion.principal_arn)).all()
