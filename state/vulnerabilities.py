"""Vulnerabilities: advisories in bundles that an operator imported, and the packages they are about.

A bundle is written under a number of its own in many transactions, and becomes the current one of its name in one;
until then nobody reads it. What another took the place of is deleted afterwards.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, delete, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base, Serial

IMPORTING, CURRENT, OLD = "IMPORTING", "CURRENT", "OLD"
LONGEST_ID, LONGEST_ECOSYSTEM, LONGEST_NAME = 128, 128, 300


class VulnerabilityBundle(Base):
    """One import. Its writer is who imports."""

    __tablename__ = "vulnerability_bundles"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), index=True)
    status: Mapped[str] = mapped_column(String(10))
    # When something was last written to it.
    touched_at: Mapped[datetime]
    # When the latest of its advisories was changed, by its own word.
    modified_at: Mapped[datetime | None]
    advisories: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)


class Advisory(Base):
    """One advisory of a bundle. Its writer is who imports."""

    __tablename__ = "advisories"

    bundle: Mapped[int] = mapped_column(
        ForeignKey("vulnerability_bundles.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    id: Mapped[str] = mapped_column(String(LONGEST_ID), primary_key=True)
    document: Mapped[dict[str, Any]]


class AffectedPackage(Base):
    """A package that an advisory is about. Its writer is who imports."""

    __tablename__ = "affected_packages"

    bundle: Mapped[int] = mapped_column(
        ForeignKey("vulnerability_bundles.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    ecosystem: Mapped[str] = mapped_column(String(LONGEST_ECOSYSTEM), primary_key=True)
    name: Mapped[str] = mapped_column(String(LONGEST_NAME), primary_key=True)
    advisory: Mapped[str] = mapped_column(String(LONGEST_ID), primary_key=True)
    # An advisory may be about the same package more than once.
    number: Mapped[int] = mapped_column(primary_key=True)
    # ``ranges`` and ``versions``, as OSV has them, and what the distribution says of the severity.
    document: Mapped[dict[str, Any]]


def start_bundle(session: Session, name: str, *, now: datetime) -> int:
    """The number of a new bundle that is about to be written."""
    bundle = VulnerabilityBundle(name=name, status=IMPORTING, touched_at=now, modified_at=None)
    session.add(bundle)
    session.flush()
    return bundle.id


def add_advisories(
    session: Session,
    bundle: int,
    advisories: Sequence[Mapping[str, Any]],
    packages: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
) -> None:
    """Write rows of a bundle that is not current yet; ids of ``advisories`` are new to it."""
    if advisories:
        session.execute(insert(Advisory), [{"bundle": bundle, **row} for row in advisories])
    if packages:
        session.execute(insert(AffectedPackage), [{"bundle": bundle, **row} for row in packages])
    session.execute(update(VulnerabilityBundle).where(VulnerabilityBundle.id == bundle).values(touched_at=now))


def finish_bundle(
    session: Session, bundle: int, *, advisories: int, refused: int, modified_at: datetime | None, now: datetime
) -> None:
    """Make the bundle the current one of its name."""
    row = session.get(VulnerabilityBundle, bundle)
    assert row is not None, "a bundle is deleted only when nothing has been written to it for long"
    # One after another, so that of two imports at the same time one stays.
    named = select(VulnerabilityBundle.id).where(VulnerabilityBundle.name == row.name)
    session.execute(named.order_by(VulnerabilityBundle.id).with_for_update()).all()
    same = [VulnerabilityBundle.name == row.name, VulnerabilityBundle.status == CURRENT]
    session.execute(update(VulnerabilityBundle).where(*same).values(status=OLD, touched_at=now))
    row.status, row.advisories, row.refused, row.modified_at, row.touched_at = (
        CURRENT,
        advisories,
        refused,
        modified_at,
        now,
    )


def retire_bundle(session: Session, name: str, *, now: datetime) -> bool:
    """Take the current bundle of the name out of use; whether there was one."""
    current = [VulnerabilityBundle.name == name, VulnerabilityBundle.status == CURRENT]
    query = update(VulnerabilityBundle).where(*current).values(status=OLD, touched_at=now)
    return bool(session.execute(query.returning(VulnerabilityBundle.id)).all())


def current_bundles(session: Session) -> Sequence[VulnerabilityBundle]:
    query = select(VulnerabilityBundle).where(VulnerabilityBundle.status == CURRENT)
    return session.scalars(query.order_by(VulnerabilityBundle.name)).all()


def unused_bundle(session: Session, *, abandoned_before: datetime) -> int | None:
    """A bundle that another took the place of, or that nobody has written to for long."""
    unused = (VulnerabilityBundle.status == OLD) | (
        (VulnerabilityBundle.status == IMPORTING) & (VulnerabilityBundle.touched_at < abandoned_before)
    )
    return session.scalar(select(VulnerabilityBundle.id).where(unused).order_by(VulnerabilityBundle.id).limit(1))


def forget_bundles(session: Session, *, abandoned_before: datetime, limit: int) -> bool:
    """Delete at most ``limit`` rows of bundles that are of no use any more; whether there may be more."""
    bundle = unused_bundle(session, abandoned_before=abandoned_before)
    if bundle is None:
        return False
    names = select(AffectedPackage.name).where(AffectedPackage.bundle == bundle)
    lot = session.scalars(names.order_by(AffectedPackage.ecosystem, AffectedPackage.name).limit(limit)).all()
    if lot:
        theirs = [AffectedPackage.bundle == bundle, AffectedPackage.name.in_(sorted(set(lot))[:500])]
        session.execute(delete(AffectedPackage).where(*theirs))
        return True
    ids = session.scalars(select(Advisory.id).where(Advisory.bundle == bundle).limit(limit)).all()
    for start in range(0, len(ids), 500):
        these = [Advisory.bundle == bundle, Advisory.id.in_(ids[start : start + 500])]
        session.execute(delete(Advisory).where(*these))
    if not ids:
        session.execute(delete(VulnerabilityBundle).where(VulnerabilityBundle.id == bundle))
    return True


def covers(session: Session, bundles: Sequence[int], ecosystems: Sequence[str]) -> bool:
    """Whether the bundles know of anything in these ecosystems."""
    query = select(AffectedPackage.bundle).where(
        AffectedPackage.bundle.in_(bundles), AffectedPackage.ecosystem.in_(ecosystems)
    )
    return session.execute(query.limit(1)).first() is not None


def affected_packages(
    session: Session, bundles: Sequence[int], ecosystems: Sequence[str], names: Iterable[str]
) -> Sequence[AffectedPackage]:
    """What the bundles say of these packages."""
    wanted = sorted(set(names))
    found: list[AffectedPackage] = []
    for start in range(0, len(wanted), 500):
        query = select(AffectedPackage).where(
            AffectedPackage.bundle.in_(bundles),
            AffectedPackage.ecosystem.in_(ecosystems),
            AffectedPackage.name.in_(wanted[start : start + 500]),
        )
        found += session.scalars(query).all()
    return found


def advisories_of(session: Session, keys: Iterable[tuple[int, str]]) -> dict[tuple[int, str], dict[str, Any]]:
    """The documents of advisories by bundle and id."""
    by_bundle: dict[int, list[str]] = {}
    for bundle, advisory in sorted(set(keys)):
        by_bundle.setdefault(bundle, []).append(advisory)
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for bundle, ids in by_bundle.items():
        for start in range(0, len(ids), 500):
            query = select(Advisory).where(Advisory.bundle == bundle, Advisory.id.in_(ids[start : start + 500]))
            found.update(((bundle, row.id), row.document) for row in session.scalars(query))
    return found
