"""Log events: lines with a time, kept as rows in order of stream, time and arrival, until their retention ends.

An event's place is (timestamp, id). Places only grow with arrival at one timestamp, so a reader that remembers
the place of the last event it saw continues exactly there, also after a restart.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Select, Text, delete, func, insert, select, tuple_
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base, Serial
from state.log_groups import LogGroup, oldest_kept, starts_with
from state.log_streams import DiscardedStream, LogStream

# What CloudWatch Logs counts for an event besides its message, in bytes.
EVENT_OVERHEAD = 26
Place = tuple[int, int]


class LogEvent(Base):
    """One line. Written once, by PutLogEvents; swept in chunks. Timestamps are epoch milliseconds."""

    __tablename__ = "log_events"
    __table_args__ = (
        Index("ix_log_events_stream", "stream_id", "timestamp", "id"),
        Index("ix_log_events_group", "group_id", "timestamp", "id"),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    # No foreign keys: the events of a deleted stream outlive it until they are swept.
    group_id: Mapped[int] = mapped_column(BigInteger)
    stream_id: Mapped[int] = mapped_column(BigInteger)
    timestamp: Mapped[int] = mapped_column(BigInteger)
    ingested_at: Mapped[int] = mapped_column(BigInteger)
    # Bytes as CloudWatch Logs counts them: the message in UTF-8 and EVENT_OVERHEAD.
    size: Mapped[int]
    message: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One event as it is read back."""

    place: Place
    stream: str
    ingested_at: int
    size: int
    message: str


def add_log_events(session: Session, stream: LogStream, lines: Iterable[tuple[int, str]], *, at: int) -> None:
    """Append (timestamp, message) pairs in order of time to a stream that this transaction holds."""
    rows: list[dict[str, Any]] = [
        {
            "group_id": stream.group_id,
            "stream_id": stream.id,
            "timestamp": timestamp,
            "ingested_at": at,
            "size": len(message.encode()) + EVENT_OVERHEAD,
            "message": message,
        }
        for timestamp, message in lines
    ]
    stream.batches += 1
    if not rows:
        return
    stream.last_ingested_at = at
    session.execute(insert(LogEvent), rows)
    first, last = rows[0]["timestamp"], rows[-1]["timestamp"]
    stream.first_event_at = first if stream.first_event_at is None else min(stream.first_event_at, first)
    stream.last_event_at = max(stream.last_event_at, last)
    stream.stored_bytes += sum(row["size"] for row in rows)


def scan_log_events(
    session: Session,
    group: LogGroup,
    *,
    streams: Sequence[LogStream] | None = None,
    stream_prefix: str | None = None,
    since: int,
    until: int | None = None,
    after: Place | None = None,
    before: Place | None = None,
    backwards: bool = False,
    limit: int,
) -> Generator[Line, None, None]:
    """Events of a group, or of some of its streams, in order of time; at most ``limit``, read as they are asked for.

    ``since`` and ``until`` are inclusive timestamps, ``after`` and ``before`` exclusive places.
    """
    # A place bounds the time as well, and said so plainly it bounds the index scan on every database.
    if after is not None:
        since = max(since, after[0])
    if before is not None:
        until = before[0] if until is None else min(until, before[0])
    place = tuple_(LogEvent.timestamp, LogEvent.id)
    query = (
        select(LogEvent.timestamp, LogEvent.id, LogStream.name, LogEvent.ingested_at, LogEvent.size, LogEvent.message)
        .join(LogStream, LogStream.id == LogEvent.stream_id)
        .where(LogEvent.timestamp >= since)
    )
    if streams is not None and len(streams) == 1:
        query = query.where(LogEvent.stream_id == streams[0].id)
    else:
        query = query.where(LogEvent.group_id == group.id)
        if streams is not None:
            query = query.where(LogStream.id.in_([stream.id for stream in streams]))
        if stream_prefix:
            query = query.where(starts_with(LogStream.name, stream_prefix))
    if until is not None:
        query = query.where(LogEvent.timestamp <= until)
    if after is not None:
        query = query.where(place > after)
    if before is not None:
        query = query.where(place < before)
    order = (LogEvent.timestamp, LogEvent.id)
    query = query.order_by(*(column.desc() if backwards else column for column in order)).limit(limit)
    return _lines(session, query)


def _lines(session: Session, query: Select[int, int, str, int, int, str]) -> Generator[Line, None, None]:
    # A page may end early for its size in bytes: rows beyond that are never fetched.
    with session.execute(query.execution_options(yield_per=200)) as result:
        for timestamp, number, stream, ingested_at, size, message in result:
            yield Line(place=(timestamp, number), stream=stream, ingested_at=ingested_at, size=size, message=message)


def expire_log_events(session: Session, now: datetime, limit: int) -> int:
    """Delete at most ``limit`` events that nobody can read any more; say how many, fewer than ``limit`` when done.

    First what deleted streams left behind, then what is older than its group's retention.
    """
    swept = _sweep_discarded(session, limit)
    if swept < limit:
        swept += _sweep_expired(session, now, limit - swept)
    return swept


def _sweep_discarded(session: Session, limit: int) -> int:
    swept = 0
    while swept < limit:
        left = session.scalars(
            select(DiscardedStream).order_by(DiscardedStream.stream_id).limit(1).with_for_update()
        ).one_or_none()
        if left is None:
            break
        ids = session.scalars(
            select(LogEvent.id).where(LogEvent.stream_id == left.stream_id).limit(limit - swept)
        ).all()
        _delete(session, ids)
        swept += len(ids)
        if swept < limit:
            session.delete(left)
            session.flush()
    return swept


def _sweep_expired(session: Session, now: datetime, limit: int) -> int:
    swept = 0
    for group in session.scalars(select(LogGroup).where(LogGroup.retention_days.is_not(None))).all():
        kept_from = oldest_kept(group, now)
        old = select(LogStream).where(LogStream.group_id == group.id, LogStream.first_event_at < kept_from)
        while swept < limit:
            stream = session.scalars(old.limit(1).with_for_update()).one_or_none()
            if stream is None:
                break
            rows = session.execute(
                select(LogEvent.id, LogEvent.size)
                .where(LogEvent.stream_id == stream.id, LogEvent.timestamp < kept_from)
                .order_by(LogEvent.timestamp, LogEvent.id)
                .limit(limit - swept)
            ).all()
            _delete(session, [row.id for row in rows])
            swept += len(rows)
            stream.stored_bytes -= sum(row.size for row in rows)
            stream.first_event_at = session.scalar(
                select(func.min(LogEvent.timestamp)).where(LogEvent.stream_id == stream.id)
            )
            session.flush()
    return swept


def _delete(session: Session, ids: Sequence[int]) -> None:
    # In slices, since databases bound how many parameters one statement may carry.
    for start in range(0, len(ids), 500):
        session.execute(delete(LogEvent).where(LogEvent.id.in_(ids[start : start + 500])))
