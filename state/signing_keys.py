"""Signing keys: public keys that an operator trusts to sign images, by the name of a signing profile."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base


class SigningKey(Base):
    """One public key. Its writer is the operator, through the command line."""

    __tablename__ = "signing_keys"

    # A signing profile's name, or its whole ARN.
    profile: Mapped[str] = mapped_column(String(200), primary_key=True)
    # The SHA-256 of the key in its DER form, in hexadecimal digits.
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    pem: Mapped[str]
    added_at: Mapped[datetime]


def keys_of(session: Session, profiles: Sequence[str]) -> Sequence[SigningKey]:
    query = select(SigningKey).where(SigningKey.profile.in_(profiles))
    return session.scalars(query.order_by(SigningKey.fingerprint)).all()


def list_signing_keys(session: Session) -> Sequence[SigningKey]:
    return session.scalars(select(SigningKey).order_by(SigningKey.profile, SigningKey.fingerprint)).all()


def put_signing_key(session: Session, profile: str, fingerprint: str, pem: str, *, now: datetime) -> None:
    """Trust the key for the profile, besides those it has."""
    if session.get(SigningKey, (profile, fingerprint)) is None:
        session.add(SigningKey(profile=profile, fingerprint=fingerprint, pem=pem, added_at=now))


def delete_signing_keys(session: Session, profile: str, fingerprint: str | None = None) -> int:
    """Trust the profile's keys, or the one given, no longer; answers how many those were."""
    query = delete(SigningKey).where(SigningKey.profile == profile)
    if fingerprint is not None:
        query = query.where(SigningKey.fingerprint == fingerprint)
    return len(session.execute(query.returning(SigningKey.fingerprint)).all())
