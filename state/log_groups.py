"""Log groups: where log streams of one kind live together, under one retention.

Names compare byte by byte on every database, as CloudWatch Logs sorts them, so a page can continue after a name.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, String, func, select
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, mapped_column

from kit.clock import epoch_millis
from state.base import Base, Serial

# PostgreSQL would otherwise sort by the language of the machine.
Name = String(512).with_variant(String(512, collation="C"), "postgresql")
_LAST_CHARACTER = "\U0010ffff"


class LogGroup(Base):
    """One log group. Every column's writer is the API."""

    __tablename__ = "log_groups"
    # Ids must never return: swept-later events of a deleted group would turn up in the next one.
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    name: Mapped[str] = mapped_column(Name, unique=True)
    log_class: Mapped[str] = mapped_column(String(30), default="STANDARD")
    retention_days: Mapped[int | None]
    deletion_protection: Mapped[bool] = mapped_column(default=False)
    tags: Mapped[dict[str, str]] = mapped_column(default=dict)
    created_at: Mapped[datetime]


def get_log_group(session: Session, name: str, *, hold: str | None = None) -> LogGroup | None:
    """The group or None; ``hold`` is ``share`` (nobody deletes it meanwhile) or ``alone`` (nobody touches it)."""
    query = select(LogGroup).where(LogGroup.name == name)
    if hold is not None:
        query = query.with_for_update(read=hold == "share")
    return session.scalars(query).one_or_none()


def list_log_groups(
    session: Session,
    *,
    prefix: str | None = None,
    pattern: str | None = None,
    names: Sequence[str] | None = None,
    log_class: str | None = None,
    after: str = "",
    limit: int,
) -> Sequence[LogGroup]:
    """Groups by name, those after ``after``; ``pattern`` is a substring, case and all."""
    query = select(LogGroup).where(LogGroup.name > after)
    if prefix:
        query = query.where(starts_with(LogGroup.name, prefix))
    if pattern:
        # LIKE ignores case on SQLite; a name that changes when the pattern is taken out contains it.
        query = query.where(func.replace(LogGroup.name, pattern, "") != LogGroup.name)
    if names is not None:
        query = query.where(LogGroup.name.in_(names))
    if log_class is not None:
        query = query.where(LogGroup.log_class == log_class)
    return session.scalars(query.order_by(LogGroup.name).limit(limit)).all()


def starts_with(column: InstrumentedAttribute[str], prefix: str) -> ColumnElement[bool]:
    """A range that an index on ``column`` serves."""
    return column.between(prefix, prefix + _LAST_CHARACTER)


def oldest_kept(group: LogGroup, now: datetime) -> int:
    """The earliest timestamp, in epoch milliseconds, that the group's retention still keeps; 0 when all."""
    if group.retention_days is None:
        return 0
    return max(0, epoch_millis(now) - group.retention_days * 86_400_000)
