"""Repositories: the names images are pushed under. The API makes and changes them; a push never does."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, String, bindparam, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base, some
from state.prepared import Prepared

# Names, tags and digests sort by their bytes on every database, as the OCI specification and paging want it.
SORTED_NAME = String(256).with_variant(String(256, collation="C"), "postgresql")

# What the row says once it is held, also where the session has read it before.
_AS_LOCKED = {"populate_existing": True}


class Repository(Base):
    """One repository. Every column's writer is the API."""

    __tablename__ = "repositories"

    name: Mapped[str] = mapped_column(SORTED_NAME, primary_key=True)
    tag_mutability: Mapped[str] = mapped_column(String(30), default="MUTABLE")
    # The wildcards of an ``…_WITH_EXCLUSION`` mutability, as the client gave them.
    mutability_filters: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    scanning: Mapped[dict[str, Any]] = mapped_column(default=dict)
    encryption: Mapped[dict[str, Any]] = mapped_column(default=dict)
    tags: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    # The repository policy's text, as the client gave it.
    policy: Mapped[str | None]
    created_at: Mapped[datetime]


_SHARED = Prepared(
    select(Repository.name).where(Repository.name == bindparam("name")).with_for_update(read=True, key_share=True)
)


def get_repository(session: Session, name: str) -> Repository | None:
    return session.get(Repository, name)


def lock_repository(session: Session, name: str) -> Repository | None:
    """The repository, held against its deletion and other pushes' tags until the transaction ends."""
    # Not against those who share it: layers arrive while a manifest is put.
    query = select(Repository).where(Repository.name == name)
    return session.scalar(query.with_for_update(key_share=True), execution_options=_AS_LOCKED)


def share_repository(session: Session, name: str) -> bool:
    """Hold the repository against its deletion alone until the transaction ends; say whether there is one."""
    return _SHARED.row(session, name=name) is not None


def list_repositories(session: Session, *, after: str | None, limit: int) -> Sequence[Repository]:
    """At most ``limit`` repositories in the order of their names, those beyond ``after`` alone."""
    query = select(Repository).order_by(Repository.name).limit(limit)
    if after is not None:
        query = query.where(Repository.name > after)
    return session.scalars(query).all()


def list_repository_policies(session: Session, *, after: str | None, limit: int) -> Sequence[Row[str, str | None]]:
    """``name`` and ``policy`` of at most ``limit`` repositories beyond ``after``, in the order of their names."""
    query = select(Repository.name, Repository.policy).order_by(Repository.name).limit(limit)
    return session.execute(query.where(Repository.name > after) if after is not None else query).all()


def list_named_repositories(session: Session, names: Sequence[str]) -> list[Repository]:
    """Those of ``names`` that there are, in the order of their names."""
    queries = (select(Repository).where(Repository.name.in_(each)) for each in some(names))
    return sorted((row for query in queries for row in session.scalars(query)), key=lambda row: row.name)


def delete_repository(session: Session, name: str) -> None:
    """Forget the repository with its images, tags, layer links and uploads; blobs stay for the collector."""
    session.execute(delete(Repository).where(Repository.name == name))
