"""Creation templates: how a repository is made that nobody asked for by CreateRepository."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.repositories import SORTED_NAME


class CreationTemplate(Base):
    """One template. Every column's writer is the API."""

    __tablename__ = "creation_templates"

    # Without a slash at its end; ``ROOT`` stands for every name that no other template has.
    prefix: Mapped[str] = mapped_column(SORTED_NAME, primary_key=True)
    description: Mapped[str | None] = mapped_column(String(256))
    # Of PULL_THROUGH_CACHE, REPLICATION and CREATE_ON_PUSH.
    applied_for: Mapped[list[str]]
    tag_mutability: Mapped[str] = mapped_column(String(30))
    mutability_filters: Mapped[list[dict[str, Any]]]
    encryption: Mapped[dict[str, Any]]
    resource_tags: Mapped[list[dict[str, Any]]]
    # Policies' texts, as the client gave them.
    repository_policy: Mapped[str | None]
    lifecycle_policy: Mapped[str | None]
    custom_role_arn: Mapped[str | None] = mapped_column(String(2048))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


def get_template(session: Session, prefix: str) -> CreationTemplate | None:
    return session.get(CreationTemplate, prefix)


def list_templates(
    session: Session, *, after: str | None = None, limit: int | None = None
) -> Sequence[CreationTemplate]:
    """Templates in the order of their prefixes, those beyond ``after`` alone."""
    query = select(CreationTemplate).order_by(CreationTemplate.prefix).limit(limit)
    return session.scalars(query if after is None else query.where(CreationTemplate.prefix > after)).all()


def templates_of(session: Session, prefixes: Sequence[str]) -> Sequence[CreationTemplate]:
    """Those of ``prefixes`` that are templates', in no particular order."""
    return session.scalars(select(CreationTemplate).where(CreationTemplate.prefix.in_(prefixes))).all()


def count_templates(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(CreationTemplate)) or 0
