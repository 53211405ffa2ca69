"""Sessions of ECS Exec: who runs which command in which container, from when to when. The events are the audit."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, Text, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kit.lifecycle import Lifecycle
from state.base import Base, Moves

EXEC_SESSION = Lifecycle(
    "execute-command",
    {"MADE": ("WAITING", "ENDED"), "WAITING": ("JOINED", "ENDED"), "JOINED": ("ENDED",), "ENDED": ()},
)


class ExecSession(Moves, Base):
    """One session. MADE by the API; WAITING once its client is there, JOINED once the host's agent is too.

    Only a digest of the token is kept.
    """

    __tablename__ = "exec_sessions"
    lifecycle = EXEC_SESSION

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    status: Mapped[str] = mapped_column(String(10), default="MADE")
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    cluster: Mapped[str] = mapped_column(String(255))
    task_id: Mapped[str] = mapped_column(String(36))
    container: Mapped[str] = mapped_column(String(255))
    container_instance_id: Mapped[str] = mapped_column(String(36), index=True)
    command: Mapped[str] = mapped_column(Text)
    caller: Mapped[str] = mapped_column(String(400))
    created_at: Mapped[datetime]
    # Until when its client must have come; from then on, until when the process that holds it must have said so again.
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]

    def event_name(self) -> str:
        return f"execute-command/{self.cluster}/{self.task_id}/{self.id}"


def find_exec_session(session: Session, token_digest: str) -> ExecSession | None:
    """The session that the token opens, held for this transaction."""
    return session.scalars(
        select(ExecSession).where(ExecSession.token_digest == token_digest).with_for_update()
    ).one_or_none()


def list_waiting_sessions(session: Session, container_instance_id: str, *, now: datetime) -> Sequence[ExecSession]:
    """The sessions for which the host's agent is awaited, oldest first."""
    return session.scalars(
        select(ExecSession)
        .where(
            ExecSession.container_instance_id == container_instance_id,
            ExecSession.status == "WAITING",
            ExecSession.expires_at > now,
        )
        .order_by(ExecSession.created_at, ExecSession.id)
    ).all()


def end_exec_sessions(session: Session, *, now: datetime, limit: int) -> None:
    """End sessions that nobody came for, and those whose control plane has died; the oldest ``limit`` of them."""
    over = session.scalars(
        select(ExecSession)
        .where(ExecSession.status != "ENDED", ExecSession.expires_at < now)
        .order_by(ExecSession.expires_at, ExecSession.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    for one in over.all():
        because = "its client never came" if one.status == "MADE" else "the control plane that held it went away"
        one.advance("ENDED", at=now, because=because)
        one.ended_at = now


def forget_exec_sessions(session: Session, *, before: datetime) -> None:
    """Delete sessions that ended; the event log still tells of them."""
    session.execute(delete(ExecSession).where(ExecSession.ended_at < before))
