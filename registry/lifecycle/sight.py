"""What the evaluator sees of a repository, read in a few statements."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session, aliased

from registry.lifecycle.evaluate import Fate, Seen, evaluate, storage_class_of
from registry.lifecycle.policy import BadPolicy, Rule, read_policy
from state.images import Image, Reference, Tag
from state.scans import ImageScan

Uses = Mapping[str, frozenset[str]]
"""Repositories to the digests in use."""


def look(session: Session, repository: str, *, uses: Uses) -> list[Seen]:
    """Every image of the repository."""
    tags: dict[str, list[str]] = {}
    for digest, name in session.execute(
        select(Tag.digest, Tag.name).where(Tag.repository == repository).order_by(Tag.name)
    ):
        tags.setdefault(digest, []).append(name)
    bound = _bound(session, repository)
    in_use = uses.get(repository, frozenset())
    columns = (
        Image.digest,
        Image.status,
        Image.pushed_at,
        Image.pulled_at,
        Image.archived_at,
        Image.activated_at,
    )
    return [
        Seen(
            digest=row.digest,
            tags=tuple(tags.get(row.digest, ())),
            storage_class=storage_class_of(row.status),
            pushed_at=row.pushed_at,
            pulled_at=row.pulled_at,
            archived_at=row.archived_at,
            activated_at=row.activated_at,
            bound=row.digest in bound,
            in_use=row.digest in in_use,
        )
        for row in session.execute(select(*columns).where(Image.repository == repository, ~_made_here()))
    ]


def foresee(session: Session, repository: str, rules: tuple[Rule, ...], *, uses: Uses, now: datetime) -> list[Fate]:
    """What the rules would do to the repository's images now."""
    return evaluate(rules, look(session, repository, uses=uses), now=now)


def read_kept_policy(text: str) -> tuple[Rule, ...]:
    """The rules of a policy that was accepted once; none where it would not be any more."""
    try:
        return read_policy(text)
    except BadPolicy:
        return ()


def _made_here() -> ColumnElement[bool]:
    """The bill of materials that a scan put beside an image: it goes with its image, and is nobody's push to count."""
    return exists().where(ImageScan.repository == Image.repository, ImageScan.sbom == Image.digest)


def _bound(session: Session, repository: str) -> set[str]:
    """The digests of images that are part of a list here, or untagged and about an image that is here."""
    parts = select(Reference.target).where(Reference.repository == repository, Reference.kind == "image")
    subject = aliased(Image)
    about = (
        select(Image.digest)
        .join(subject, (subject.repository == Image.repository) & (subject.digest == Image.subject))
        .outerjoin(Tag, (Tag.repository == Image.repository) & (Tag.digest == Image.digest))
        .where(Image.repository == repository, Tag.name.is_(None))
    )
    return {*session.scalars(parts), *session.scalars(about)}
