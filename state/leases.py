"""Leases: rows that say which process runs a loop, with a fencing token that grows at every change of hands.

A holder proves at each write that the token is still its own; a process that slept through its lease can
therefore do nothing that the next holder would not expect.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import String, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base


class LeaseLost(Exception):
    """The lease is another's now: what was about to be recorded is void."""


class LeaseRow(Base):
    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    holder: Mapped[str] = mapped_column(String(80))
    token: Mapped[int]
    expires_at: Mapped[datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Proof of holding ``name``: valid while the row carries this token."""

    name: str
    holder: str
    token: int


def claim_lease(
    session: Session, name: str, holder: str, *, now: datetime, length: timedelta, seize: bool = False
) -> Lease | None:
    """Take or renew the lease for ``length``; None while another holder's has not run out.

    ``seize`` takes it whatever the row says, for a process that knows by other means that it is alone.
    """
    row = session.scalars(select(LeaseRow).where(LeaseRow.name == name).with_for_update()).one_or_none()
    if row is None:
        row = LeaseRow(name=name, holder=holder, token=1, expires_at=now + length)
        session.add(row)
        return Lease(name=name, holder=holder, token=1)
    if row.holder != holder:
        if row.expires_at > now and not seize:
            return None
        row.holder = holder
        row.token += 1
    row.expires_at = now + length
    return Lease(name=name, holder=holder, token=row.token)


def check_lease(session: Session, lease: Lease) -> None:
    """Hold the lease row until the transaction ends; raise LeaseLost when it is another's."""
    row = session.scalars(select(LeaseRow).where(LeaseRow.name == lease.name).with_for_update()).one_or_none()
    if row is None or row.token != lease.token or row.holder != lease.holder:
        raise LeaseLost(f"lease {lease.name} is held by another process")


def release_leases(session: Session, holder: str, *, now: datetime) -> None:
    """Let all of a holder's leases run out at once, for a process that stops in order."""
    session.execute(update(LeaseRow).where(LeaseRow.holder == holder).values(expires_at=now))
