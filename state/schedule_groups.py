"""Schedule groups: what schedules are filed, tagged and deleted under. The group ``default`` is always there."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import EPOCH, Base
from state.log_groups import starts_with

DEFAULT_GROUP = "default"
# Byte by byte on every database, so that a page can continue after a name.
GroupName = String(64).with_variant(String(64, collation="C"), "postgresql")


class ScheduleGroup(Base):
    """One group. Every column's writer is the API."""

    __tablename__ = "schedule_groups"

    name: Mapped[str] = mapped_column(GroupName, primary_key=True)
    tags: Mapped[dict[str, str]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]


def get_schedule_group(session: Session, name: str, *, hold: str | None = None) -> ScheduleGroup | None:
    """The group or None; ``hold`` is ``share`` (nobody deletes it meanwhile) or ``alone`` (nobody touches it).

    ``default`` is answered even while nobody has written to it; it is kept only once ``keep_default_group`` ran.
    """
    query = select(ScheduleGroup).where(ScheduleGroup.name == name)
    if hold is not None:
        query = query.with_for_update(read=hold == "share")
    group = session.scalars(query).one_or_none()
    return _default_group() if group is None and name == DEFAULT_GROUP else group


def keep_default_group(session: Session, *, now: datetime) -> None:
    """Write the group ``default`` if it is not there yet, so that a row can refer to it or be tagged."""
    if session.get(ScheduleGroup, DEFAULT_GROUP) is None:
        session.add(ScheduleGroup(name=DEFAULT_GROUP, tags={}, created_at=now, modified_at=now))
        session.flush()


def list_schedule_groups(session: Session, *, prefix: str | None, after: str, limit: int) -> Sequence[ScheduleGroup]:
    """Groups by name, those after ``after``."""
    query = select(ScheduleGroup).where(ScheduleGroup.name > after)
    if prefix:
        query = query.where(starts_with(ScheduleGroup.name, prefix))
    groups = list(session.scalars(query.order_by(ScheduleGroup.name).limit(limit)).all())
    wanted = DEFAULT_GROUP.startswith(prefix or "") and after < DEFAULT_GROUP
    if wanted and session.get(ScheduleGroup, DEFAULT_GROUP) is None:
        groups.append(_default_group())
        groups.sort(key=lambda group: group.name)
    return groups[:limit]


def _default_group() -> ScheduleGroup:
    return ScheduleGroup(name=DEFAULT_GROUP, tags={}, created_at=EPOCH, modified_at=EPOCH)
