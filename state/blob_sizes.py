"""Sizes: how much room repositories take, summed by the database from its rows; no ledger that could go wrong.

A blob is stored once, however many repositories show it: what one repository has alone is what deleting it would free.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, case, cast, func, select
from sqlalchemy.orm import Session

from state.blobs import Blob, BlobLink
from state.images import Image, Tag
from state.repositories import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositorySize:
    """Bytes of a repository's blobs; ``alone`` are in no other one, ``unused`` wait for the collector."""

    name: str
    images: int = 0
    tags: int = 0
    blobs: int = 0
    bytes: int = 0
    alone: int = 0
    shared: int = 0
    unused: int = 0
    manifests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSize:
    """What is stored, each blob once."""

    blobs: int
    bytes: int
    # Of them, in no repository any more.
    unlinked: int


def list_repository_sizes(session: Session, name: str | None = None) -> list[RepositorySize]:
    """Every repository's size or one's, in the order of their names, in four statements."""
    found: dict[str, dict[str, Any]] = {
        repository: {} for repository in session.scalars(_of(select(Repository.name), Repository.name, name))
    }
    others = select(BlobLink.digest, func.count().label("n")).group_by(BlobLink.digest)
    if name is not None:
        mine = select(BlobLink.digest).where(BlobLink.repository == name)
        others = others.where(BlobLink.digest.in_(mine))
    holders = others.subquery()
    links = (
        select(
            BlobLink.repository,
            func.count().label("blobs"),
            _sum(Blob.size).label("bytes"),
            _sum(case((holders.c.n == 1, Blob.size), else_=0)).label("alone"),
            _sum(case((BlobLink.unused_since.is_not(None), Blob.size), else_=0)).label("unused"),
        )
        .join(Blob, Blob.digest == BlobLink.digest)
        .join(holders, holders.c.digest == BlobLink.digest)
        .group_by(BlobLink.repository)
    )
    images = select(Image.repository, func.count().label("images"), _sum(Image.body_size).label("manifests")).group_by(
        Image.repository
    )
    tags = select(Tag.repository, func.count().label("tags")).group_by(Tag.repository)
    for query, column in ((links, BlobLink.repository), (images, Image.repository), (tags, Tag.repository)):
        for row in session.execute(_of(query, column, name)).mappings():
            if row["repository"] in found:
                found[row["repository"]] |= {key: int(value) for key, value in row.items() if key != "repository"}
    return [
        RepositorySize(name=each, **columns, shared=columns.get("bytes", 0) - columns.get("alone", 0))
        for each, columns in sorted(found.items())
    ]


def stored_size(session: Session) -> StoredSize:
    """The size of everything that is kept."""
    linked = select(BlobLink.digest)
    unlinked = _sum(case((Blob.digest.not_in(linked), Blob.size), else_=0))
    blobs, size, loose = session.execute(select(func.count(), _sum(Blob.size), unlinked)).one()
    return StoredSize(blobs=blobs, bytes=int(size), unlinked=int(loose))


def _of(query: Any, column: Any, name: str | None) -> Any:
    return query if name is None else query.where(column == name)


def _sum(column: Any) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(column), 0), BigInteger)
