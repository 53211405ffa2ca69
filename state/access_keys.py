"""Access keys: who may sign requests. Secrets are encrypted at rest with the installation's master key."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base, some
from state.container_instances import ContainerInstance


class AccessKey(Base):
    """One key pair, long-lived (AKIA…) or of a session (ASIA…, with a session token and an end)."""

    __tablename__ = "access_keys"

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    # Both ciphertexts are kit.secrets' (Fernet) text.
    secret: Mapped[str]
    session_token: Mapped[str | None]
    principal_arn: Mapped[str] = mapped_column(String(400), index=True)
    # Globs over ``service:Operation`` that the key may call.
    actions: Mapped[list[str]]
    expires_at: Mapped[datetime | None] = mapped_column(index=True)
    created_at: Mapped[datetime]
    # On the key of a host's agent: its container instance, or nothing until it has registered; on that of an execution
    # role the host of its task. On others null.
    speaks_for: Mapped[str | None] = mapped_column(String(36), index=True)


def get_access_key(session: Session, key_id: str) -> AccessKey | None:
    return session.get(AccessKey, key_id)


def hold_access_key(session: Session, key_id: str) -> AccessKey | None:
    """The key as it is now, held for this transaction."""
    return session.get(AccessKey, key_id, with_for_update=True)


def list_principal_keys(session: Session, principal_arn: str) -> Sequence[AccessKey]:
    """A principal's long-lived keys, oldest first; sessions are not among them."""
    return session.scalars(
        select(AccessKey)
        .where(AccessKey.principal_arn == principal_arn, AccessKey.session_token.is_(None))
        .order_by(AccessKey.created_at, AccessKey.id)
    ).all()


def list_host_keys(session: Session) -> Sequence[tuple[AccessKey, ContainerInstance | None]]:
    """The keys of all hosts' agents, oldest first, each with its host once that has registered."""
    rows = session.execute(
        select(AccessKey, ContainerInstance)
        .outerjoin(ContainerInstance, ContainerInstance.id == AccessKey.speaks_for)
        .where(AccessKey.speaks_for.is_not(None), AccessKey.session_token.is_(None))
        .order_by(AccessKey.created_at, AccessKey.id)
    )
    return [(key, host) for key, host in rows]


def forget_unused_keys(session: Session, *, since: datetime) -> None:
    """Delete the keys with which no host registered."""
    session.execute(delete(AccessKey).where(AccessKey.speaks_for == "", AccessKey.created_at < since))


def forget_host_keys(session: Session, hosts: Sequence[str]) -> None:
    """Delete the keys of hosts that are forgotten."""
    for few in some(hosts):
        session.execute(delete(AccessKey).where(AccessKey.speaks_for.in_(few)))


def end_sessions(session: Session) -> None:
    """Delete every session's key."""
    session.execute(delete(AccessKey).where(AccessKey.session_token.is_not(None)))


def forget_access_keys(session: Session, *, now: datetime) -> None:
    """Delete sessions that ended."""
    session.execute(delete(AccessKey).where(AccessKey.expires_at <= now))
