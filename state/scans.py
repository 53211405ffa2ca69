"""Scans: what was found in images, and which of them are to be scanned.

A row whose ``due_at`` is set waits for a scanner; a scanner holds it by a claim that runs out unless it is renewed,
so that a process that dies leaves its work to the next. Findings are replaced whole, in the transaction that ends a
scan.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, String, and_, delete, func, insert, literal, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column, undefer

from state.base import Base
from state.images import SORTED_DIGEST, Image
from state.repositories import SORTED_NAME


class ImageScan(Base):
    """The scan of one image. ``due_at`` and ``asked_at`` are who asks's (a push, the API, an import); all else is the
    scanner's."""

    __tablename__ = "image_scans"
    __table_args__ = (
        ForeignKeyConstraint(["repository", "digest"], ["images.repository", "images.digest"], ondelete="CASCADE"),
        Index("ix_image_scans_asked", "asked_at"),
        Index("ix_image_scans_due", "due_at"),
    )

    repository: Mapped[str] = mapped_column(SORTED_NAME, primary_key=True)
    digest: Mapped[str] = mapped_column(SORTED_DIGEST, primary_key=True)
    # ``BASIC`` or ``ENHANCED``, as the registry was configured when the scan was asked for.
    kind: Mapped[str] = mapped_column(String(10))
    # How the last scan ended; PENDING before there was one.
    status: Mapped[str] = mapped_column(String(30))
    description: Mapped[str] = mapped_column(default="")
    # Since when a scan is waited for; None when none is.
    due_at: Mapped[datetime | None]
    asked_at: Mapped[datetime]
    claim: Mapped[str | None] = mapped_column(String(32))
    claimed_until: Mapped[datetime | None]
    # Claims of the scan that is due now, this one included.
    attempts: Mapped[int] = mapped_column(default=0)
    completed_at: Mapped[datetime | None]
    # What the findings are from: the bundles' numbers, or the name of another scanner; and its age.
    knowledge: Mapped[str] = mapped_column(default="")
    knowledge_at: Mapped[datetime | None]
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    # The packages found, as ``registry.scanning.packages`` writes them; the image's digest names them for good.
    inventory: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    # The digest of the bill of materials that was put beside the image.
    sbom: Mapped[str | None] = mapped_column(SORTED_DIGEST)


class ScanFinding(Base):
    """One vulnerability of one package of an image. Its writer is the scanner."""

    __tablename__ = "scan_findings"
    __table_args__ = (
        ForeignKeyConstraint(
            ["repository", "digest"], ["image_scans.repository", "image_scans.digest"], ondelete="CASCADE"
        ),
    )

    repository: Mapped[str] = mapped_column(SORTED_NAME, primary_key=True)
    digest: Mapped[str] = mapped_column(SORTED_DIGEST, primary_key=True)
    # The worst comes first.
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    severity: Mapped[str] = mapped_column(String(20))
    document: Mapped[dict[str, Any]]
    first_seen_at: Mapped[datetime]


def get_scan(session: Session, repository: str, digest: str, *, inventory: bool = False) -> ImageScan | None:
    options = [undefer(ImageScan.inventory)] if inventory else []
    return session.get(ImageScan, (repository, digest), options=options)


def scans_of(session: Session, repository: str, digests: Sequence[str]) -> dict[str, ImageScan]:
    """The scans of those of ``digests`` that have one."""
    found: dict[str, ImageScan] = {}
    for start in range(0, len(digests), 500):
        query = select(ImageScan).where(
            ImageScan.repository == repository, ImageScan.digest.in_(digests[start : start + 500])
        )
        found.update((scan.digest, scan) for scan in session.scalars(query))
    return found


def ask_for_scan(session: Session, repository: str, digest: str, kind: str, *, now: datetime) -> ImageScan:
    """Have the image scanned, again where it was before."""
    scan = get_scan(session, repository, digest)
    if scan is None:
        scan = ImageScan(repository=repository, digest=digest, status="PENDING")
        session.add(scan)
    scan.kind, scan.due_at, scan.asked_at, scan.attempts = kind, now, now, 0
    session.flush()
    return scan


def ask_for_scans(
    session: Session, repositories: Sequence[str], kind: str, *, media_types: Sequence[str], now: datetime
) -> None:
    """Have every image of these repositories scanned that has never been asked for."""
    known = select(ImageScan.digest).where(ImageScan.repository == Image.repository, ImageScan.digest == Image.digest)
    for start in range(0, len(repositories), 500):
        images = select(
            Image.repository, Image.digest, literal(kind), literal("PENDING"), literal(""), literal(0), literal("")
        ).where(
            Image.repository.in_(repositories[start : start + 500]),
            Image.artifact_type.in_(media_types),
            Image.subject.is_(None),
            Image.status == "ACTIVE",
            ~known.exists(),
        )
        images = images.add_columns(
            literal(now, ImageScan.due_at.type), literal(now, ImageScan.due_at.type), literal({}, ImageScan.counts.type)
        )
        columns = [
            "repository",
            "digest",
            "kind",
            "status",
            "description",
            "attempts",
            "knowledge",
            "due_at",
            "asked_at",
        ]
        session.execute(insert(ImageScan).from_select([*columns, "counts"], images, include_defaults=False))


def ask_again(session: Session, repositories: Sequence[str], *, now: datetime) -> None:
    """Have images of these repositories scanned again, and wherever a scan lacked knowledge or may be about to."""
    lacking = or_(ImageScan.status == "FINDINGS_UNAVAILABLE", ImageScan.claim.is_not(None))
    values = {"due_at": now, "attempts": 0}
    session.execute(update(ImageScan).where(lacking).values(values).execution_options(synchronize_session=False))
    for start in range(0, len(repositories), 500):
        theirs = ImageScan.repository.in_(repositories[start : start + 500])
        session.execute(update(ImageScan).where(theirs).values(values).execution_options(synchronize_session=False))


def ask_all_again(session: Session, *, now: datetime) -> None:
    """Have every image scanned again that was ever scanned."""
    values = {"due_at": now, "attempts": 0}
    session.execute(update(ImageScan).values(values).execution_options(synchronize_session=False))


def count_scans_asked_since(session: Session, since: datetime) -> int:
    return session.scalar(select(func.count()).where(ImageScan.asked_at > since)) or 0


def next_scan(session: Session, *, now: datetime) -> ImageScan | None:
    """The scan that has waited longest and that nobody holds."""
    query = select(ImageScan).where(_free(now)).order_by(ImageScan.due_at, ImageScan.repository, ImageScan.digest)
    return session.scalar(query.limit(1))


def next_claim_end(session: Session) -> datetime | None:
    """When the first of the claims runs out under which a scan is held."""
    query = select(func.min(ImageScan.claimed_until)).where(ImageScan.due_at.is_not(None))
    return session.scalar(query)


def claim_scan(
    session: Session, repository: str, digest: str, claim: str, *, now: datetime, until: datetime
) -> ImageScan | None:
    """Hold the scan until then; None where another was quicker, or it is gone."""
    mine = and_(ImageScan.repository == repository, ImageScan.digest == digest)
    held = session.execute(
        update(ImageScan)
        .where(mine, _free(now))
        .values(claim=claim, claimed_until=until, attempts=ImageScan.attempts + 1)
        .returning(ImageScan.digest)
    ).first()
    return get_scan(session, repository, digest, inventory=True) if held else None


def hold_scan(session: Session, repository: str, digest: str, claim: str, *, until: datetime) -> bool:
    """Hold the scan for longer; whether it is still held."""
    mine = and_(ImageScan.repository == repository, ImageScan.digest == digest, ImageScan.claim == claim)
    return bool(
        session.execute(update(ImageScan).where(mine).values(claimed_until=until).returning(ImageScan.digest)).first()
    )


def get_claimed(session: Session, repository: str, digest: str, claim: str) -> ImageScan | None:
    """The scan, held until the transaction ends, while it is under this claim."""
    query = select(ImageScan).where(
        ImageScan.repository == repository, ImageScan.digest == digest, ImageScan.claim == claim
    )
    return session.scalar(query.with_for_update())


def put_findings(session: Session, scan: ImageScan, findings: Sequence[Mapping[str, Any]]) -> None:
    """Keep these findings, the worst first, in place of those before; ``first_seen_at`` is in each."""
    theirs = and_(ScanFinding.repository == scan.repository, ScanFinding.digest == scan.digest)
    session.execute(delete(ScanFinding).where(theirs))
    rows = [
        {"repository": scan.repository, "digest": scan.digest, "number": number, **finding}
        for number, finding in enumerate(findings, start=1)
    ]
    if rows:
        session.execute(insert(ScanFinding), rows)


def list_findings(
    session: Session, repository: str, digest: str, *, after: int = 0, limit: int | None = None
) -> Sequence[ScanFinding]:
    """Findings beyond the number ``after``, the worst first."""
    query = select(ScanFinding).where(
        ScanFinding.repository == repository, ScanFinding.digest == digest, ScanFinding.number > after
    )
    return session.scalars(query.order_by(ScanFinding.number).limit(limit)).all()


def _free(now: datetime) -> Any:
    return and_(ImageScan.due_at.is_not(None), or_(ImageScan.claimed_until.is_(None), ImageScan.claimed_until <= now))
