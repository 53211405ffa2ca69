"""Replication: where pushes are sent to, by which peers that is reached, and every image on its way."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, String, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base, Serial
from state.images import SORTED_DIGEST, TAG, Image, Tag
from state.prepared import Prepared
from state.repositories import SORTED_NAME

PENDING, COMPLETE, FAILED = "PENDING", "COMPLETE", "FAILED"
RUNNING = ("PREPARING", "IN_PROGRESS", "STOPPING")


class ReplicationConfiguration(Base):
    """The registry's rules, in the client's own form; one row. Its writer is the API."""

    __tablename__ = "replication_configuration"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rules: Mapped[list[dict[str, Any]]]
    configured_at: Mapped[datetime]


class ReplicationPeer(Base):
    """Another Berth, as a destination: its region and account, its API, and a sealed key for it.

    Its writer is the operator.
    """

    __tablename__ = "replication_peers"

    region: Mapped[str] = mapped_column(String(25), primary_key=True)
    account: Mapped[str] = mapped_column(String(12), primary_key=True)
    endpoint: Mapped[str] = mapped_column(String(300))
    access_key_id: Mapped[str] = mapped_column(String(128))
    # kit.secrets' (Fernet) text.
    secret: Mapped[str]
    # Certificates to trust, in PEM, where the machine's own do not do.
    authority: Mapped[str | None]
    added_at: Mapped[datetime]


class ReplicationBackfill(Base):
    """A request to send what was there before. The API writes it and asks it to stop; the loop moves it on."""

    __tablename__ = "replication_backfills"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    region: Mapped[str] = mapped_column(String(25))
    account: Mapped[str] = mapped_column(String(12))
    # PREPARING, IN_PROGRESS, COMPLETE, FAILED, STOPPING or STOPPED.
    status: Mapped[str] = mapped_column(String(12), index=True)
    failure: Mapped[str | None] = mapped_column(String(60))
    # None until the images are known.
    total: Mapped[int | None]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Replication(Base):
    """One image, under one tag or none, on its way to one destination. Its writer is the replications loop."""

    __tablename__ = "replications"
    __table_args__ = (
        ForeignKeyConstraint(["repository", "digest"], ["images.repository", "images.digest"], ondelete="CASCADE"),
        Index("ix_replications_image", "repository", "digest"),
        Index("ix_replications_due", "status", "due_at"),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    repository: Mapped[str] = mapped_column(SORTED_NAME)
    digest: Mapped[str] = mapped_column(SORTED_DIGEST)
    tag: Mapped[str | None] = mapped_column(TAG)
    region: Mapped[str] = mapped_column(String(25))
    account: Mapped[str] = mapped_column(String(12))
    # The backfill it belongs to; None for what followed a push.
    backfill: Mapped[str | None] = mapped_column(
        String(36), ForeignKey("replication_backfills.id", ondelete="CASCADE"), index=True
    )
    # PENDING, COMPLETE or FAILED.
    status: Mapped[str] = mapped_column(String(10))
    failure: Mapped[str | None] = mapped_column(String(60))
    attempts: Mapped[int]
    due_at: Mapped[datetime]


_CONFIGURED = Prepared(select(ReplicationConfiguration.id))


def get_replication_configuration(session: Session) -> ReplicationConfiguration | None:
    # Every push asks, and most registries have none.
    return session.get(ReplicationConfiguration, 1) if _CONFIGURED.row(session) is not None else None


def put_replication_rules(session: Session, rules: list[dict[str, Any]], *, now: datetime) -> None:
    session.merge(ReplicationConfiguration(id=1, rules=rules, configured_at=now))


def get_peer(session: Session, region: str, account: str) -> ReplicationPeer | None:
    return session.get(ReplicationPeer, (region, account))


def list_peers(session: Session) -> Sequence[ReplicationPeer]:
    return session.scalars(select(ReplicationPeer).order_by(ReplicationPeer.region, ReplicationPeer.account)).all()


def add_replications(session: Session, rows: Sequence[Mapping[str, Any]], *, now: datetime) -> None:
    """Images to be sent from now on; ``rows`` name repository, digest, tag, region, account and backfill."""
    if rows:
        new = {"status": PENDING, "failure": None, "attempts": 0, "due_at": now}
        session.execute(insert(Replication), [{**row, **new} for row in rows])


def forget_replications(session: Session, repository: str, digest: str, tags: Iterable[str | None]) -> None:
    """Delete what followed earlier pushes of the image under these tags: the new push says it again."""
    same = (Replication.repository == repository) & (Replication.digest == digest) & Replication.backfill.is_(None)
    for tag in tags:
        session.execute(
            delete(Replication).where(same, Replication.tag.is_(None) if tag is None else Replication.tag == tag)
        )


def list_due_replications(session: Session, *, now: datetime, limit: int) -> Sequence[Replication]:
    """What is to be sent now, the longest due first."""
    query = select(Replication).where(Replication.status == PENDING, Replication.due_at <= now)
    return session.scalars(query.order_by(Replication.due_at, Replication.id).limit(limit)).all()


def next_due_replication(session: Session) -> datetime | None:
    return session.scalar(select(func.min(Replication.due_at)).where(Replication.status == PENDING))


def statuses_of_image(session: Session, repository: str, digest: str) -> list[tuple[str, str, str, str | None]]:
    """Region, account, status and failure of everything that followed pushes of the image."""
    query = select(Replication.region, Replication.account, Replication.status, Replication.failure).where(
        Replication.repository == repository, Replication.digest == digest, Replication.backfill.is_(None)
    )
    rows = session.execute(query.order_by(Replication.region, Replication.account))
    return [(region, account, status, failure) for region, account, status, failure in rows]


def images_with_tags(
    session: Session, *, after: tuple[str, str] | None = None, limit: int
) -> list[tuple[str, str, str | None]]:
    """Repository, digest and tag of active images, each once for each of its tags; whole images, in their order."""
    page = select(Image.repository, Image.digest).where(Image.status == "ACTIVE")
    if after is not None:
        page = page.where((Image.repository > after[0]) | ((Image.repository == after[0]) & (Image.digest > after[1])))
    images = page.order_by(Image.repository, Image.digest).limit(limit).subquery()
    query = (
        select(images.c.repository, images.c.digest, Tag.name)
        .outerjoin(Tag, (Tag.repository == images.c.repository) & (Tag.digest == images.c.digest))
        .order_by(images.c.repository, images.c.digest, Tag.name)
    )
    return [(repository, digest, tag) for repository, digest, tag in session.execute(query)]


def get_backfill(session: Session, backfill: str) -> ReplicationBackfill | None:
    return session.get(ReplicationBackfill, backfill)


def list_backfills(session: Session, *, statuses: Sequence[str] | None = None) -> Sequence[ReplicationBackfill]:
    """Backfills, the latest first."""
    query = select(ReplicationBackfill)
    if statuses is not None:
        query = query.where(ReplicationBackfill.status.in_(statuses))
    return session.scalars(query.order_by(ReplicationBackfill.started_at.desc(), ReplicationBackfill.id)).all()


def count_results(session: Session, backfills: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many replications of each backfill are in each status."""
    found: dict[str, dict[str, int]] = {}
    query = select(Replication.backfill, Replication.status, func.count()).where(Replication.backfill.in_(backfills))
    for backfill, status, count in session.execute(query.group_by(Replication.backfill, Replication.status)):
        found.setdefault(str(backfill), {})[status] = count
    return found


def failures_of(session: Session, backfill: str) -> list[str]:
    """The distinct failures of a backfill's replications, sorted."""
    query = select(Replication.failure).where(Replication.backfill == backfill, Replication.failure.is_not(None))
    return sorted(str(failure) for failure in session.scalars(query.where(Replication.status == FAILED).distinct()))


def list_results(
    session: Session, backfill: str, *, status: str | None, after: int, limit: int
) -> Sequence[Replication]:
    """A backfill's ended replications in their order, beyond the number ``after``."""
    query = select(Replication).where(Replication.backfill == backfill, Replication.id > after)
    query = query.where(Replication.status == status if status else Replication.status.in_((COMPLETE, FAILED)))
    return session.scalars(query.order_by(Replication.id).limit(limit)).all()


def drop_pending(session: Session, backfill: str) -> None:
    """Forget what a backfill has not sent yet."""
    session.execute(delete(Replication).where(Replication.backfill == backfill, Replication.status == PENDING))


def settle(
    session: Session, ids: Sequence[int], *, status: str, failure: str | None, attempts: int, due_at: datetime
) -> None:
    """Write how an attempt went."""
    session.execute(
        update(Replication)
        .where(Replication.id.in_(ids), Replication.status == PENDING)
        .values(status=status, failure=failure, attempts=attempts, due_at=due_at)
    )
