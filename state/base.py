"""What every table shares: the declarative base, instants, JSON documents and the one way to move an entity.

Instants are stored as microseconds since the epoch, so they sort, index and compare alike on SQLite and PostgreSQL.
Documents are plain JSON text on both, so what a client registered is echoed in the order it was sent.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Dialect, Integer, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, object_session
from sqlalchemy.types import TypeDecorator

from kit.lifecycle import Lifecycle

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware datetime in UTC, kept as microseconds since the epoch."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + timedelta(microseconds=value)


# What is written has come as JSON or is made of it, so nobody looks for circles.
encode_document = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
"""How every document is written, by entities and by statements alike."""
Document = JSON(none_as_null=True)
# SQLite numbers rows by itself only in a column of type INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")


# Ids in one statement; SQLite admits some 32,000 parameters.
MOST_IDS = 1000


def some(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The ids, as many at a time as one statement takes."""
    for start in range(0, len(ids), MOST_IDS):
        yield ids[start : start + MOST_IDS]


class Base(DeclarativeBase):
    """The base of all entities."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: Instant,
        dict[str, Any]: Document,
        list[Any]: Document,
        list[str]: Document,
        list[dict[str, Any]]: Document,
        dict[str, str]: Document,
    }


class Event(Base):
    """One move of one entity: who moved what, from where, to where, when and why. Append-only, and indexed by nothing
    but its number, since every move of every task appends here."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(40))
    entity: Mapped[str] = mapped_column(String(400))
    before: Mapped[str | None] = mapped_column(String(40))
    after: Mapped[str] = mapped_column(String(40))
    because: Mapped[str]


class Moves:
    """Mixed into an entity that has a lifecycle: ``advance`` is the only way its status changes."""

    lifecycle: ClassVar[Lifecycle]
    status_column: ClassVar[str] = "status"

    def event_name(self) -> str:
        """How the event log names this entity: its ARN or its key."""
        raise AttributeError(f"{type(self).__name__} must say how events name it")

    def advance(self, after: str, *, at: datetime, because: str) -> None:
        """Move to ``after`` and append the event; raise IllegalTransition where the lifecycle has no arrow."""
        before = getattr(self, self.status_column)
        self.lifecycle.check(before, after)
        setattr(self, self.status_column, after)
        session = object_session(self)
        assert session is not None, "an entity moves inside a session"
        session.add(
            Event(
                at=at,
                kind=self.lifecycle.name,
                entity=self.event_name(),
                before=before,
                after=after,
                because=because,
            )
        )
