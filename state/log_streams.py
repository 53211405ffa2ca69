"""Log streams: one source's log events, in order of time.

Deleting a stream is one small write: its events stay behind, unreachable, until they are swept in bounded chunks.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, delete, func, insert, select, tuple_
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base, Serial
from state.log_groups import LogGroup, Name, starts_with


class LogStream(Base):
    """One log stream. Timestamps are epoch milliseconds, as clients send them. Every column's writer is the API;
    ``first_event_at`` and ``stored_bytes`` are also the sweep's."""

    __tablename__ = "log_streams"
    __table_args__ = (
        UniqueConstraint("group_id", "name"),
        Index("ix_log_streams_last_event", "group_id", "last_event_at", "name"),
        Index("ix_log_streams_first_event", "group_id", "first_event_at"),
        # Ids must never return: events that await their sweep are known by the stream's id alone.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    group_id: Mapped[int] = mapped_column(ForeignKey("log_groups.id"))
    name: Mapped[str] = mapped_column(Name)
    created_at: Mapped[datetime]
    first_event_at: Mapped[int | None] = mapped_column(BigInteger)
    # 0 until the first event, so that streams sort by it.
    last_event_at: Mapped[int] = mapped_column(BigInteger, default=0)
    last_ingested_at: Mapped[int | None] = mapped_column(BigInteger)
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    # How many batches were put; CloudWatch Logs' sequence tokens count them.
    batches: Mapped[int] = mapped_column(BigInteger, default=0)


class DiscardedStream(Base):
    """A deleted stream whose events are still to be swept."""

    __tablename__ = "log_discards"

    stream_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


def get_log_stream(session: Session, group: LogGroup, name: str, *, hold: bool = False) -> LogStream | None:
    """The stream or None; ``hold`` keeps other writers of this stream out until the transaction ends."""
    query = select(LogStream).where(LogStream.group_id == group.id, LogStream.name == name)
    return session.scalars(query.with_for_update() if hold else query).one_or_none()


def list_log_streams_by_name(
    session: Session, group: LogGroup, *, prefix: str | None, after: str | None, descending: bool, limit: int
) -> Sequence[LogStream]:
    """Streams of a group in order of name, those beyond ``after``."""
    query = select(LogStream).where(LogStream.group_id == group.id)
    if prefix:
        query = query.where(starts_with(LogStream.name, prefix))
    if after is not None:
        query = query.where(LogStream.name < after if descending else LogStream.name > after)
    order = LogStream.name.desc() if descending else LogStream.name
    return session.scalars(query.order_by(order).limit(limit)).all()


def list_log_streams_by_time(
    session: Session, group: LogGroup, *, after: tuple[int, str] | None, descending: bool, limit: int
) -> Sequence[LogStream]:
    """Streams of a group in order of their last event, those beyond ``after`` (last event, name)."""
    place = tuple_(LogStream.last_event_at, LogStream.name)
    query = select(LogStream).where(LogStream.group_id == group.id)
    if after is not None:
        query = query.where(place < after if descending else place > after)
    order = (LogStream.last_event_at, LogStream.name)
    return session.scalars(
        query.order_by(*(column.desc() if descending else column for column in order)).limit(limit)
    ).all()


def stored_bytes_of(session: Session, group_ids: Sequence[int]) -> Mapping[int, int]:
    """How many bytes each group keeps; groups without streams are left out."""
    rows = session.execute(
        select(LogStream.group_id, func.sum(LogStream.stored_bytes))
        .where(LogStream.group_id.in_(group_ids))
        .group_by(LogStream.group_id)
    )
    return {group_id: int(total or 0) for group_id, total in rows}


def discard_log_stream(session: Session, stream: LogStream) -> None:
    """Delete the stream; its events are swept later."""
    session.add(DiscardedStream(stream_id=stream.id))
    session.delete(stream)


def discard_log_group(session: Session, group: LogGroup) -> None:
    """Delete the group with all of its streams; their events are swept later."""
    streams = select(LogStream.id).where(LogStream.group_id == group.id)
    session.execute(insert(DiscardedStream).from_select(["stream_id"], streams))
    session.execute(delete(LogStream).where(LogStream.group_id == group.id))
    session.delete(group)
