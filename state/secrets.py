"""Secrets: names with values in versions. Values are sealed with the installation's master key before they come here.

Which version is the current one is told by its staging labels: each label is on one version of a secret at most.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, Text, and_, delete, func, literal, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, mapped_column

from state.base import EPOCH, Base, Instant

SECRET_NAME = String(512)
# Versions without a label that a secret keeps; older ones are forgotten, as in AWS.
MOST_DEPRECATED = 100


class Secret(Base):
    """One secret. The API writes everything; housekeeping deletes what is past its recovery window."""

    __tablename__ = "secrets"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(SECRET_NAME, unique=True)
    # The six characters that end its ARN: a secret made again under an old name is another secret.
    suffix: Mapped[str] = mapped_column(String(6))
    description: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[list[dict[str, Any]]]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    # The day on which a value was last read.
    accessed_at: Mapped[datetime | None]
    # Both are set while the secret waits for its end.
    deleted_at: Mapped[datetime | None]
    gone_at: Mapped[datetime | None] = mapped_column(index=True)
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}


class SecretVersion(Base):
    """One value of a secret, which never changes; its staging labels do."""

    __tablename__ = "secret_versions"

    secret_id: Mapped[str] = mapped_column(ForeignKey("secrets.id", ondelete="CASCADE"), primary_key=True)
    version_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    # Read only where a value is asked for: versions are many, and values long.
    sealed: Mapped[str] = mapped_column(Text, deferred=True)
    # Whether the value is binary; it is sealed as base64 then.
    binary: Mapped[bool]
    stages: Mapped[list[str]]
    created_at: Mapped[datetime]
    accessed_at: Mapped[datetime | None]


SORTS: Mapping[str, InstrumentedAttribute[Any]] = {
    "created-date": Secret.created_at,
    "last-accessed-date": Secret.accessed_at,
    "last-changed-date": Secret.changed_at,
    "name": Secret.name,
}


def get_secret(session: Session, name: str, *, now: datetime, hold: bool = False) -> Secret | None:
    """The secret of that name, unless its recovery window is over. ``hold`` makes other writers of it wait."""
    query = select(Secret).where(Secret.name == name, or_(Secret.gone_at.is_(None), Secret.gone_at > now))
    return session.scalars(query.with_for_update() if hold else query).one_or_none()


def clear_name(session: Session, name: str, *, now: datetime) -> None:
    """Delete a secret of that name whose recovery window is over, so that there can be another."""
    for secret in session.scalars(select(Secret).where(Secret.name == name, Secret.gone_at <= now)):
        discard_secret(session, secret)
        session.flush()


def list_secrets(
    session: Session, *, sort: str, descending: bool, planned: bool, now: datetime, after: Sequence[Any], limit: int
) -> Sequence[Secret]:
    """Secrets in the order ``sort`` names, those after the position ``after`` (empty: from the start). Where
    ``planned``, also those that wait for their end."""
    key: Any = SORTS[sort] if sort == "name" else func.coalesce(SORTS[sort], literal(EPOCH, Instant()), type_=Instant())
    query = select(Secret).where(or_(Secret.gone_at.is_(None), Secret.gone_at > now))
    if not planned:
        query = query.where(Secret.deleted_at.is_(None))
    if after:
        value, last = after
        if sort != "name":
            value = datetime.fromisoformat(value)
        beyond = key < value if descending else key > value
        query = query.where(or_(beyond, and_(key == value, Secret.id > last)))
    return session.scalars(query.order_by(key.desc() if descending else key, Secret.id).limit(limit)).all()


def position(secret: Secret, sort: str) -> list[Any]:
    """Where the secret stands in a list sorted by ``sort``."""
    value = getattr(secret, SORTS[sort].key)
    if sort != "name":
        value = (value or EPOCH).isoformat()
    return [value, secret.id]


def list_versions(session: Session, secret_ids: Sequence[str]) -> Sequence[SecretVersion]:
    """All versions of the secrets, the oldest first."""
    query = select(SecretVersion).where(SecretVersion.secret_id.in_(secret_ids))
    return session.scalars(query.order_by(SecretVersion.created_at, SecretVersion.version_id)).all()


def prune_versions(session: Session, versions: Sequence[SecretVersion]) -> None:
    """Forget the oldest of a secret's versions that no label keeps, when there are too many; oldest come first."""
    deprecated = [version for version in versions if not version.stages]
    for version in deprecated[: max(0, len(deprecated) - MOST_DEPRECATED)]:
        session.delete(version)


def discard_secret(session: Session, secret: Secret) -> None:
    """Delete the secret and its values for good."""
    session.execute(delete(SecretVersion).where(SecretVersion.secret_id == secret.id))
    session.delete(secret)


def forget_secrets(session: Session, *, now: datetime, limit: int) -> int:
    """Delete secrets whose recovery window is over; answers how many."""
    query = select(Secret.id).where(Secret.gone_at <= now).limit(limit)
    ids = session.scalars(query.with_for_update(skip_locked=True)).all()
    session.execute(delete(SecretVersion).where(SecretVersion.secret_id.in_(ids)))
    session.execute(delete(Secret).where(Secret.id.in_(ids)))
    return len(ids)
