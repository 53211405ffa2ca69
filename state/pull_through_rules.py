"""Pull-through rules: the repository names beneath a prefix stand for those of an upstream registry."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.repositories import SORTED_NAME


class PullThroughRule(Base):
    """One rule. Every column's writer is the API."""

    __tablename__ = "pull_through_rules"

    # Without a slash at its end; ``ROOT`` stands for every name that no other rule has.
    prefix: Mapped[str] = mapped_column(SORTED_NAME, primary_key=True)
    # As the client gave it.
    upstream_url: Mapped[str] = mapped_column(String(512))
    # ECR's name for the upstream, such as ``docker-hub``; None for any other registry.
    upstream_registry: Mapped[str | None] = mapped_column(String(60))
    upstream_prefix: Mapped[str | None] = mapped_column(String(256))
    credential_arn: Mapped[str | None] = mapped_column(String(612))
    custom_role_arn: Mapped[str | None] = mapped_column(String(2048))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


def get_rule(session: Session, prefix: str) -> PullThroughRule | None:
    return session.get(PullThroughRule, prefix)


def list_rules(session: Session, *, after: str | None = None, limit: int | None = None) -> Sequence[PullThroughRule]:
    """Rules in the order of their prefixes, those beyond ``after`` alone."""
    query = select(PullThroughRule).order_by(PullThroughRule.prefix).limit(limit)
    return session.scalars(query if after is None else query.where(PullThroughRule.prefix > after)).all()


def rules_of(session: Session, prefixes: Sequence[str]) -> Sequence[PullThroughRule]:
    """Those of ``prefixes`` that are rules', in no particular order."""
    return session.scalars(select(PullThroughRule).where(PullThroughRule.prefix.in_(prefixes))).all()


def count_rules(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(PullThroughRule)) or 0


def any_rule_uses(session: Session, credential_arn: str) -> str | None:
    """The prefix of a rule with these credentials, if there is one."""
    query = select(PullThroughRule.prefix).where(PullThroughRule.credential_arn == credential_arn)
    return session.scalar(query.order_by(PullThroughRule.prefix).limit(1))
