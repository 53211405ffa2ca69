"""Firings: every time a schedule came due, what became of it, and the dead letters of those that failed.

One row per schedule and due instant, whichever process writes it: that is why nothing fires twice.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kit.lifecycle import Lifecycle
from state.base import Base, Moves
from state.schedules import Schedule

FIRING = Lifecycle(
    "firing",
    {
        "PENDING": ("SUCCEEDED", "FAILED", "MISSED", "CANCELLED"),
        "SUCCEEDED": (),
        "FAILED": (),
        "MISSED": (),
        "CANCELLED": (),
    },
)


class Firing(Moves, Base):
    """One due instant of a schedule. The schedules loop writes it; the API only cancels."""

    __tablename__ = "firings"
    __table_args__ = (
        UniqueConstraint("schedule_id", "due_at"),
        Index("ix_firings_attempt", "status", "attempt_at"),
    )
    lifecycle = FIRING

    # The execution id that the target sees.
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    # No foreign key: a firing outlives its schedule.
    schedule_id: Mapped[str] = mapped_column(String(32))
    schedule_arn: Mapped[str] = mapped_column(String(400))
    due_at: Mapped[datetime]
    # The target as it was when the schedule came due.
    target: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(20), default="PENDING")
    # How often the target was invoked so far, and when it is invoked next.
    attempts: Mapped[int] = mapped_column(default=0)
    attempt_at: Mapped[datetime]
    finished_at: Mapped[datetime | None] = mapped_column(index=True)
    error_code: Mapped[str | None] = mapped_column(String(200))
    error_message: Mapped[str | None]

    def event_name(self) -> str:
        return f"firing/{self.id}"


class DeadLetter(Base):
    """What AWS would have sent to the target's dead-letter queue. There is no SQS here: this row is the letter."""

    __tablename__ = "dead_letters"

    firing_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    # The ARN in DeadLetterConfig.
    queue_arn: Mapped[str] = mapped_column(String(1600))
    at: Mapped[datetime] = mapped_column(index=True)
    # ERROR_CODE, ERROR_MESSAGE, EXECUTION_ID… as AWS names the message's attributes.
    attributes: Mapped[dict[str, str]]
    # The payload that the target did not take.
    body: Mapped[str]


def get_firing(session: Session, firing_id: str, *, hold: bool = False) -> Firing | None:
    query = select(Firing).where(Firing.id == firing_id)
    return session.scalars(query.with_for_update() if hold else query).one_or_none()


def has_fired(session: Session, schedule_id: str, due_at: datetime) -> bool:
    """Whether this due instant was taken up before."""
    taken = select(Firing.id).where(Firing.schedule_id == schedule_id, Firing.due_at == due_at)
    return session.scalar(taken) is not None


def list_firings(session: Session, schedule_id: str) -> Sequence[Firing]:
    """The schedule's firings, the first due first."""
    return session.scalars(select(Firing).where(Firing.schedule_id == schedule_id).order_by(Firing.due_at)).all()


def list_attempts_due(session: Session, *, now: datetime, limit: int) -> Sequence[str]:
    """Ids of firings whose target is to be invoked now, the longest due first."""
    return session.scalars(
        select(Firing.id)
        .where(Firing.status == "PENDING", Firing.attempt_at <= now)
        .order_by(Firing.attempt_at, Firing.id)
        .limit(limit)
    ).all()


def next_attempt(session: Session) -> datetime | None:
    """When the next invocation is to happen."""
    return session.scalar(select(func.min(Firing.attempt_at)).where(Firing.status == "PENDING"))


def is_settled(session: Session, schedule_id: str) -> bool:
    """Whether none of the schedule's firings is still to be tried."""
    pending = select(Firing.id).where(Firing.schedule_id == schedule_id, Firing.status == "PENDING")
    return session.scalar(pending.limit(1)) is None


def cancel_firings(session: Session, schedule: Schedule, *, at: datetime) -> None:
    """Give up what is still to be tried for a schedule that is being deleted."""
    pending = select(Firing).where(Firing.schedule_id == schedule.id, Firing.status == "PENDING").with_for_update()
    for firing in session.scalars(pending).all():
        firing.advance("CANCELLED", at=at, because="The schedule was deleted")
        firing.finished_at = at


def cancel_firings_of_group(session: Session, group: str, *, at: datetime) -> None:
    """The same for every schedule of a group."""
    of_group = select(Schedule.id).where(Schedule.group_name == group)
    pending = select(Firing).where(Firing.schedule_id.in_(of_group), Firing.status == "PENDING").with_for_update()
    for firing in session.scalars(pending).all():
        firing.advance("CANCELLED", at=at, because="The schedule group was deleted")
        firing.finished_at = at


def forget_firings(session: Session, *, before: datetime, limit: int) -> int:
    """Delete at most ``limit`` firings that finished before an instant, with their dead letters; say how many."""
    old = select(Firing.id).where(Firing.finished_at < before).order_by(Firing.finished_at).limit(limit)
    ids = session.scalars(old).all()
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        session.execute(delete(DeadLetter).where(DeadLetter.firing_id.in_(some)))
        session.execute(delete(Firing).where(Firing.id.in_(some)))
    return len(ids)
