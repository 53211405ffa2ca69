"""Usage: what containers, services, hosts and clusters used, minute by minute, and rolled up for the longer past.

A point is one subject's bucket of time. Its sums are over the minutes in it, so that an average is a sum through
``minutes``; CPU is in units of 1/1024 vCPU, memory in MiB, the rest in bytes.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Float,
    Index,
    Insert,
    Select,
    String,
    bindparam,
    delete,
    func,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base, Instant

MINUTE, FIVE_MINUTES, HOUR = 60, 300, 3600
# How long points of a resolution are kept.
KEPT: Mapping[int, timedelta] = {
    MINUTE: timedelta(hours=3),
    FIVE_MINUTES: timedelta(days=3),
    HOUR: timedelta(days=60),
}
# Buckets of a resolution that are forgotten at once: a minute may have ten thousand points.
BITE = 5
# Each coarser resolution is made of the finer one before it.
ROLLED = ((MINUTE, FIVE_MINUTES), (FIVE_MINUTES, HOUR))
SUMS = ("cpu", "cpu_reserved", "memory", "memory_reserved", "rx", "tx", "read", "written")
PEAKS = ("cpu_peak", "memory_peak", "tasks", "restarts")


class UsagePoint(Base):
    """One subject's bucket. Minutes are written by the agents' door, coarser ones by the usage loop."""

    __tablename__ = "usage_points"
    # What is rolled up and forgotten is found without a look at the many points of other resolutions.
    __table_args__ = (Index("ix_usage_points_seconds_at", "seconds", "at"),)

    # ``cluster/NAME``, ``host/ID``, ``service/CLUSTER/NAME`` or ``container/CLUSTER/TASK/NAME``.
    subject: Mapped[str] = mapped_column(String(600), primary_key=True)
    # How long the bucket is.
    seconds: Mapped[int] = mapped_column(primary_key=True)
    # When it begins.
    at: Mapped[datetime] = mapped_column(primary_key=True)
    minutes: Mapped[int]
    cpu: Mapped[float] = mapped_column(Float)
    cpu_peak: Mapped[float] = mapped_column(Float)
    cpu_reserved: Mapped[float] = mapped_column(Float)
    memory: Mapped[float] = mapped_column(Float)
    memory_peak: Mapped[float] = mapped_column(Float)
    memory_reserved: Mapped[float] = mapped_column(Float)
    rx: Mapped[int] = mapped_column(BigInteger)
    tx: Mapped[int] = mapped_column(BigInteger)
    read: Mapped[int] = mapped_column(BigInteger)
    written: Mapped[int] = mapped_column(BigInteger)
    tasks: Mapped[int]
    restarts: Mapped[int]

    @property
    def cpu_average(self) -> float:
        return self.cpu / self.minutes

    @property
    def memory_average(self) -> float:
        return self.memory / self.minutes


def bucket(at: datetime, seconds: int) -> datetime:
    """The begin of the bucket that an instant is in."""
    return at - timedelta(seconds=at.timestamp() % seconds)


def add_minutes(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add what one process heard to the minutes; the others add theirs to the same."""
    if rows:
        connection = session.connection()
        ordered = sorted(rows, key=lambda row: (row["at"], row["subject"]))
        connection.execute(
            _adding(connection.dialect.name), [{**row, "seconds": MINUTE, "minutes": 1} for row in ordered]
        )


def roll_up(session: Session, *, since: datetime) -> None:
    """Make the coarser points, but for single containers, anew from the finer ones of the time since then."""
    connection = session.connection()
    for fine, coarse in ROLLED:
        connection.execute(
            _rolling(connection.dialect.name), {"fine": fine, "coarse": coarse, "since": bucket(since, coarse)}
        )


def rolled_until(session: Session) -> datetime | None:
    """When the newest rolled-up bucket begins; None when there is none."""
    return session.scalar(select(func.max(UsagePoint.at)).where(UsagePoint.seconds == FIVE_MINUTES))


def forget_usage(session: Session, *, now: datetime) -> None:
    """Delete points that have had their time, a few buckets at once: after a long silence there are very many."""
    for seconds, kept in KEPT.items():
        of_it = UsagePoint.seconds == seconds
        oldest = session.scalar(select(func.min(UsagePoint.at)).where(of_it))
        if oldest is not None and oldest < now - kept:
            until = min(now - kept, oldest + BITE * timedelta(seconds=seconds))
            session.execute(delete(UsagePoint).where(of_it, UsagePoint.at < until))


def list_usage(session: Session, subject: str, *, seconds: int, since: datetime) -> Sequence[UsagePoint]:
    """One subject's points from then on, oldest first."""
    return session.scalars(
        select(UsagePoint)
        .where(UsagePoint.subject == subject, UsagePoint.seconds == seconds, UsagePoint.at >= since)
        .order_by(UsagePoint.at)
    ).all()


def list_latest(session: Session, kinds: Collection[str], *, since: datetime) -> Sequence[UsagePoint]:
    """The newest minute since then of every subject of these kinds (``host``, ``service``…), by subject."""
    wanted = or_(*(UsagePoint.subject.like(f"{kind}/%") for kind in kinds))
    newest = (
        select(UsagePoint.subject, func.max(UsagePoint.at).label("at"))
        .where(UsagePoint.seconds == MINUTE, UsagePoint.at >= since, wanted)
        .group_by(UsagePoint.subject)
        .subquery()
    )
    return session.scalars(
        select(UsagePoint)
        .join(newest, (newest.c.subject == UsagePoint.subject) & (newest.c.at == UsagePoint.at))
        .where(UsagePoint.seconds == MINUTE)
        .order_by(UsagePoint.subject)
    ).all()


def service_utilization(session: Session, cluster: str, service: str, *, since: datetime) -> tuple[float, float] | None:
    """Per cent of the reserved CPU and of the reserved memory that a service used on average since then.

    As ECSServiceAverageCPUUtilization and its sibling count; None when nothing is known.
    """
    points = list_usage(session, f"service/{cluster}/{service}", seconds=MINUTE, since=since)
    cpu, memory = sum(point.cpu_reserved for point in points), sum(point.memory_reserved for point in points)
    if not cpu or not memory:
        return None
    return (
        100 * sum(point.cpu for point in points) / cpu,
        100 * sum(point.memory for point in points) / memory,
    )


_TABLE = UsagePoint.metadata.tables[UsagePoint.__tablename__]
_KEY = ["subject", "seconds", "at"]


def _into(dialect: str) -> Any:
    return sqlite.insert(_TABLE) if dialect == "sqlite" else postgresql.insert(_TABLE)


@cache
def _adding(dialect: str) -> Insert:
    insert = _into(dialect)
    added = {name: _TABLE.c[name] + insert.excluded[name] for name in (*SUMS, *PEAKS)}
    statement: Insert = insert.on_conflict_do_update(index_elements=_KEY, set_=added)
    return statement


@cache
def _rolling(dialect: str) -> Insert:
    names = ("minutes", *SUMS, *PEAKS)
    insert = _into(dialect).from_select([*_KEY, *names], _coarser(names))
    replaced = {name: insert.excluded[name] for name in names}
    statement: Insert = insert.on_conflict_do_update(index_elements=_KEY, set_=replaced)
    return statement


def _coarser(names: Sequence[str]) -> Select[Any]:
    """The finer points by coarser bucket. Instants are microseconds in their column."""
    length = bindparam("coarse", type_=BigInteger) * 1_000_000
    raw = type_coerce(_TABLE.c.at, BigInteger)
    begins = (raw - raw % length).label("at")
    values = [(func.max if name in PEAKS else func.sum)(_TABLE.c[name]) for name in names]
    return (
        select(_TABLE.c.subject, bindparam("coarse", type_=BigInteger), begins, *values)
        .where(
            _TABLE.c.seconds == bindparam("fine", type_=BigInteger),
            _TABLE.c.at >= bindparam("since", type_=Instant()),
            _TABLE.c.subject.not_like("container/%"),
        )
        .group_by(_TABLE.c.subject, begins)
    )
