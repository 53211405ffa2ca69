"""Role sessions: the temporary keys that tasks were given for their roles.

A task's keys for one role are numbered; the newest is the one it is told. Older ones end by themselves, for a container
may still hold one. All of them end with the task. Secrets lie encrypted with the keys, in ``access_keys``.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Executable, String, UniqueConstraint, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.access_keys import AccessKey
from state.base import Base, some
from state.tasks import Task

APPLICATION, EXECUTION = "TaskApplication", "TaskExecution"


class RoleSession(Base):
    """One key of one task. ``kind`` says whose it is: the containers', or their agent's for starting them."""

    __tablename__ = "role_sessions"
    # Two writers that renew the same key meet here, and the second finds the first one's.
    __table_args__ = (UniqueConstraint("task_id", "kind", "generation"),)

    access_key_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    task_id: Mapped[str] = mapped_column(String(36))
    kind: Mapped[str] = mapped_column(String(20))
    generation: Mapped[int]
    # The same in all generations: containers are told it once.
    credentials_id: Mapped[str] = mapped_column(String(36))
    role_arn: Mapped[str]
    role_name: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime]


def newest_sessions(
    session: Session, task_ids: Collection[str]
) -> dict[tuple[str, str], tuple[RoleSession, AccessKey | None]]:
    """The newest session of each task and kind, with its key, unless that was ended before its time."""
    found: dict[tuple[str, str], tuple[RoleSession, AccessKey | None]] = {}
    for ids in some(sorted(task_ids)):
        rows = session.execute(
            select(RoleSession, AccessKey)
            .outerjoin(AccessKey, AccessKey.id == RoleSession.access_key_id)
            .where(RoleSession.task_id.in_(ids))
            .order_by(RoleSession.generation)
        )
        for own, key in rows:
            found[own.task_id, own.kind] = (own, key)
    return found


def tasks_with_roles_on(session: Session, container_instance_id: str) -> Sequence[str]:
    """The host's tasks that have roles and are to run."""
    return session.scalars(
        select(Task.id).where(
            Task.container_instance_id == container_instance_id,
            Task.has_roles,
            Task.desired_status == "RUNNING",
            Task.last_status.in_(("PENDING", "RUNNING")),
        )
    ).all()


def end_role_sessions(session: Session, task_ids: Collection[str]) -> None:
    """End every key of the tasks: nothing of them runs any more."""
    for ids in some(sorted(task_ids)):
        keys = select(RoleSession.access_key_id).where(RoleSession.task_id.in_(ids))
        _run(session, delete(AccessKey).where(AccessKey.id.in_(keys)))
        _run(session, delete(RoleSession).where(RoleSession.task_id.in_(ids)))


def grant_role_sessions(session: Session, role_name: str, actions: Mapping[str, Sequence[str]]) -> None:
    """Let the living sessions of a role do what it may do now, by their kind."""
    for kind, globs in actions.items():
        keys = select(RoleSession.access_key_id).where(RoleSession.role_name == role_name, RoleSession.kind == kind)
        _run(session, update(AccessKey).where(AccessKey.id.in_(keys)).values(actions=list(globs)))


def count_role_sessions(session: Session) -> Iterator[tuple[str, str]]:
    """Name and task of every role that tasks have keys of."""
    yield from session.execute(select(RoleSession.role_name, RoleSession.task_id).distinct()).tuples()


def forget_role_sessions(session: Session, *, now: datetime) -> None:
    """Delete the sessions whose keys have ended by themselves; before the keys, by which they are found."""
    ended = select(AccessKey.id).where(AccessKey.expires_at <= now)
    _run(session, delete(RoleSession).where(RoleSession.access_key_id.in_(ended)))


def _run(session: Session, statement: Executable) -> None:
    # Nothing is flushed here, or the counts of tasks would be held before the hosts.
    session.connection().execute(statement)
