"""Images: manifests with their exact bytes, the tags that point to them, and what they are made of.

A manifest's bytes never change: its digest is its key. References are written with it, in one transaction,
so the garbage collector and "is this image part of another" need to read no manifest.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Row,
    String,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column, undefer

from state.base import Base, encode_document
from state.blobs import DIGEST
from state.bulk import as_micros, execute_rows
from state.prepared import Prepared, values_of
from state.repositories import SORTED_NAME

TAG = String(128).with_variant(String(128, collation="C"), "postgresql")
SORTED_DIGEST = DIGEST.with_variant(String(140, collation="C"), "postgresql")


class Image(Base):
    """One manifest of one repository: an image, or a list of images. Its writer is the registry."""

    __tablename__ = "images"
    __table_args__ = (
        ForeignKeyConstraint(["repository"], ["repositories.name"], ondelete="CASCADE"),
        Index("ix_images_subject", "repository", "subject"),
    )

    repository: Mapped[str] = mapped_column(SORTED_NAME, primary_key=True)
    digest: Mapped[str] = mapped_column(SORTED_DIGEST, primary_key=True)
    media_type: Mapped[str] = mapped_column(String(255))
    artifact_type: Mapped[str | None] = mapped_column(String(255))
    # The digest this manifest says it is about: a signature's image, for instance. It need not exist.
    subject: Mapped[str | None] = mapped_column(DIGEST)
    # These two are read only when asked for: a manifest may be 4 MiB, and most questions are about the rest.
    annotations: Mapped[dict[str, str]] = mapped_column(default=dict, deferred=True)
    body: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    body_size: Mapped[int]
    # The compressed size of what the manifest lists, in bytes, as ``imageSizeInBytes`` tells it.
    size: Mapped[int] = mapped_column(BigInteger)
    pushed_at: Mapped[datetime]
    pulled_at: Mapped[datetime | None]
    # ACTIVE or ARCHIVED: kept, but not to be pulled until it is active again.
    status: Mapped[str] = mapped_column(String(12), default="ACTIVE")
    archived_at: Mapped[datetime | None]
    activated_at: Mapped[datetime | None]


class Reference(Base):
    """An image needs a blob, or another image, of its repository. Its writer is the registry."""

    __tablename__ = "image_references"
    __table_args__ = (
        ForeignKeyConstraint(["repository", "image"], ["images.repository", "images.digest"], ondelete="CASCADE"),
        Index("ix_image_references_target", "repository", "target"),
    )

    repository: Mapped[str] = mapped_column(SORTED_NAME, primary_key=True)
    image: Mapped[str] = mapped_column(SORTED_DIGEST, primary_key=True)
    target: Mapped[str] = mapped_column(DIGEST, primary_key=True)
    # ``blob`` or ``image``.
    kind: Mapped[str] = mapped_column(String(10))


class Tag(Base):
    """A name for one image of a repository. Its writer is the registry."""

    __tablename__ = "image_tags"
    __table_args__ = (
        ForeignKeyConstraint(["repository", "digest"], ["images.repository", "images.digest"], ondelete="CASCADE"),
        Index("ix_image_tags_digest", "repository", "digest"),
    )

    repository: Mapped[str] = mapped_column(SORTED_NAME, primary_key=True)
    name: Mapped[str] = mapped_column(TAG, primary_key=True)
    digest: Mapped[str] = mapped_column(SORTED_DIGEST)


_COLUMNS = (
    "repository",
    "digest",
    "media_type",
    "artifact_type",
    "subject",
    "annotations",
    "body",
    "body_size",
    "size",
    "pushed_at",
    "status",
)
_ADD = Prepared(insert(Image).values(values_of(*_COLUMNS)).inline())
_REFERENCE = ("repository", "image", "target", "kind")
_REFER = insert(Reference).values(values_of(*_REFERENCE)).inline()
_TAGGED = Prepared(select(Tag.digest).where(Tag.repository == bindparam("repository"), Tag.name == bindparam("name")))
_GIVE_TAG = Prepared(insert(Tag).values(values_of("repository", "name", "digest")).inline())


def add_image(session: Session, image: Image, references: Sequence[tuple[str, str]]) -> None:
    """Keep an image that is not there, with what it refers to: the kinds and digests of those, each once.

    The object stays the caller's and is no part of the session; it has every column that a push gives.
    """
    given = {name: getattr(image, name) for name in _COLUMNS}
    given |= {"annotations": encode_document(image.annotations), "pushed_at": as_micros(image.pushed_at)}
    _ADD.rows(session, **given)
    rows = [(image.repository, image.digest, target, kind) for kind, target in references]
    execute_rows(session, _REFER, _REFERENCE, rows)


def tagged_digest(session: Session, repository: str, name: str) -> str | None:
    """The digest that the tag points to; None when there is no such tag."""
    row = _TAGGED.row(session, repository=repository, name=name)
    return None if row is None else str(row[0])


def give_tag(session: Session, repository: str, name: str, digest: str) -> None:
    """Point a tag that is not there to an image that is."""
    _GIVE_TAG.rows(session, repository=repository, name=name, digest=digest)


def move_tag(session: Session, repository: str, name: str, digest: str) -> None:
    """Point a tag to another image."""
    session.execute(update(Tag).where(Tag.repository == repository, Tag.name == name).values(digest=digest))


def get_image(session: Session, repository: str, digest: str, *, body: bool = False) -> Image | None:
    return session.get(Image, (repository, digest), options=[undefer(Image.body)] if body else [])


def get_tag(session: Session, repository: str, name: str) -> Tag | None:
    return session.get(Tag, (repository, name))


def list_tags(
    session: Session, repository: str, *, after: str | None = None, limit: int | None = None
) -> Sequence[Row[str, str]]:
    """``name`` and ``digest`` of tags in the order of their bytes; bare columns, since a page may have a thousand."""
    query = select(Tag.name, Tag.digest).where(Tag.repository == repository).order_by(Tag.name).limit(limit)
    return session.execute(query.where(Tag.name > after) if after is not None else query).all()


def list_images(
    session: Session,
    repository: str,
    *,
    status: str | None = None,
    tagged: bool | None = None,
    after: str | None = None,
    limit: int,
) -> Sequence[Image]:
    """Images in the order of their digests; ``tagged`` chooses those with a tag, or those without one."""
    query = select(Image).where(Image.repository == repository).order_by(Image.digest).limit(limit)
    if status is not None:
        query = query.where(Image.status == status)
    if tagged is not None:
        has_tag = exists().where(Tag.repository == Image.repository, Tag.digest == Image.digest)
        query = query.where(has_tag if tagged else ~has_tag)
    return session.scalars(query.where(Image.digest > after) if after is not None else query).all()


def list_image_ids(
    session: Session, repository: str, *, status: str | None = None, tagged: bool | None = None
) -> list[tuple[str, str | None]]:
    """Digest and tag of every image, once for each of its tags, in the order of both."""
    same = and_(Tag.repository == Image.repository, Tag.digest == Image.digest)
    query = select(Image.digest, Tag.name).join(Tag, same, isouter=tagged is not True)
    query = query.where(Image.repository == repository).order_by(Image.digest, Tag.name)
    if status is not None:
        query = query.where(Image.status == status)
    if tagged is False:
        query = query.where(Tag.name.is_(None))
    return [(digest, name) for digest, name in session.execute(query)]


def tags_of(session: Session, repository: str, digests: Sequence[str]) -> dict[str, list[str]]:
    """The tags of each of ``digests`` that has any, sorted."""
    found: dict[str, list[str]] = {}
    for start in range(0, len(digests), 500):
        query = select(Tag.digest, Tag.name).where(
            Tag.repository == repository, Tag.digest.in_(digests[start : start + 500])
        )
        for digest, name in session.execute(query.order_by(Tag.name)):
            found.setdefault(digest, []).append(name)
    return found


def list_referrers(
    session: Session,
    repository: str,
    subject: str,
    *,
    status: str | None = None,
    artifact_types: Sequence[str] = (),
    after: str | None,
    limit: int,
) -> Sequence[Image]:
    """Images that say they are about ``subject``, with their annotations, in the order of their digests."""
    query = select(Image).where(Image.repository == repository, Image.subject == subject)
    query = query.options(undefer(Image.annotations))
    if status is not None:
        query = query.where(Image.status == status)
    if artifact_types:
        query = query.where(Image.artifact_type.in_(artifact_types))
    if after is not None:
        query = query.where(Image.digest > after)
    return session.scalars(query.order_by(Image.digest).limit(limit)).all()


def known_images(session: Session, repository: str, digests: Sequence[str]) -> dict[str, int]:
    """The sizes (``imageSizeInBytes``) of those of ``digests`` that the repository has."""
    found: dict[str, int] = {}
    for start in range(0, len(digests), 500):
        query = select(Image.digest, Image.size).where(
            Image.repository == repository, Image.digest.in_(digests[start : start + 500])
        )
        found.update((digest, size) for digest, size in session.execute(query))
    return found


def lists_that_need(session: Session, repository: str, digest: str) -> Sequence[str]:
    """The digests of manifest lists of which the image is a part."""
    query = select(Reference.image).where(
        Reference.repository == repository, Reference.target == digest, Reference.kind == "image"
    )
    return session.scalars(query.order_by(Reference.image)).all()


def has_images(session: Session, repository: str) -> bool:
    return session.scalar(select(Image.digest).where(Image.repository == repository).limit(1)) is not None


def delete_image(session: Session, repository: str, digest: str) -> None:
    """Forget the image, every tag on it and its references; its blobs stay for the collector."""
    session.execute(delete(Image).where(Image.repository == repository, Image.digest == digest))


def delete_tag(session: Session, repository: str, name: str) -> None:
    session.execute(delete(Tag).where(Tag.repository == repository, Tag.name == name))
