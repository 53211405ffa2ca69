"""Lifecycle policies of repositories, and their previews with results."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, delete, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.images import SORTED_DIGEST
from state.repositories import SORTED_NAME


class LifecyclePolicy(Base):
    """The policy of a repository. Its text is the API's; ``evaluated_at`` and ``due_at`` are the lifecycle loop's."""

    __tablename__ = "lifecycle_policies"

    repository: Mapped[str] = mapped_column(
        SORTED_NAME, ForeignKey("repositories.name", ondelete="CASCADE"), primary_key=True
    )
    text: Mapped[str]
    evaluated_at: Mapped[datetime | None]
    due_at: Mapped[datetime] = mapped_column(index=True)


class LifecyclePreview(Base):
    """The last preview asked for of a repository. Its writer is the API."""

    __tablename__ = "lifecycle_previews"

    repository: Mapped[str] = mapped_column(
        SORTED_NAME, ForeignKey("repositories.name", ondelete="CASCADE"), primary_key=True
    )
    text: Mapped[str]
    made_at: Mapped[datetime]


class PreviewedImage(Base):
    """An image that a preview found a fate for. Its writer is the API."""

    __tablename__ = "lifecycle_previewed_images"

    repository: Mapped[str] = mapped_column(
        SORTED_NAME, ForeignKey("lifecycle_previews.repository", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(SORTED_DIGEST, primary_key=True)
    tags: Mapped[list[str]]
    pushed_at: Mapped[datetime]
    storage_class: Mapped[str] = mapped_column(String(10))
    action: Mapped[str] = mapped_column(String(10))
    priority: Mapped[int]


def get_lifecycle_policy(session: Session, repository: str) -> LifecyclePolicy | None:
    return session.get(LifecyclePolicy, repository)


def list_due_policies(session: Session, *, now: datetime, limit: int) -> Sequence[LifecyclePolicy]:
    """Policies that are to be evaluated, the longest due first."""
    query = select(LifecyclePolicy).where(LifecyclePolicy.due_at <= now)
    return session.scalars(query.order_by(LifecyclePolicy.due_at, LifecyclePolicy.repository).limit(limit)).all()


def next_due_policy(session: Session) -> datetime | None:
    """When the next policy is to be evaluated."""
    return session.scalar(select(LifecyclePolicy.due_at).order_by(LifecyclePolicy.due_at).limit(1))


def put_preview(
    session: Session, repository: str, text: str, images: Sequence[Mapping[str, Any]], *, now: datetime
) -> None:
    """Keep a preview in place of the one before; ``images`` are the columns of PreviewedImage but the repository."""
    session.execute(delete(PreviewedImage).where(PreviewedImage.repository == repository))
    session.execute(delete(LifecyclePreview).where(LifecyclePreview.repository == repository))
    session.execute(insert(LifecyclePreview).values(repository=repository, text=text, made_at=now))
    if images:
        session.execute(insert(PreviewedImage), [{"repository": repository, **image} for image in images])


def get_preview(session: Session, repository: str) -> LifecyclePreview | None:
    return session.get(LifecyclePreview, repository)


def list_previewed_images(session: Session, repository: str) -> Sequence[PreviewedImage]:
    """The images with a fate, the oldest push first."""
    query = select(PreviewedImage).where(PreviewedImage.repository == repository)
    return session.scalars(query.order_by(PreviewedImage.pushed_at, PreviewedImage.digest)).all()
