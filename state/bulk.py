"""Statements for many rows at once, with values that are already what the database keeps.

SQLAlchemy prepares every value of every row by itself, which costs more than the database's own work. Here the
statement is compiled once and its rows go straight to the driver: instants as microseconds, documents as text.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import JSON, Dialect, bindparam, insert
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import UpdateBase

from state.base import EPOCH, MICROSECOND, Base, Event, Instant, encode_document

Row = Sequence[Any]
_EVENT = ("at", "kind", "entity", "before", "after", "because")
# ``inline``: nobody asks for the numbers that the database gives out.
_APPEND = insert(Event).values({name: bindparam(name) for name in _EVENT}).inline()


def execute_rows(session: Session, statement: UpdateBase, names: tuple[str, ...], rows: Iterable[Row]) -> int:
    """Run the statement once for each row, whose values are its parameters ``names``; answers how many rows of the
    table that wrote in all. Keep the statement: what it compiles to is remembered by it."""
    connection = session.connection()
    text, shape = _compiled(statement, names, connection.dialect)
    shaped = list(map(shape, rows))
    return connection.exec_driver_sql(text, shaped).rowcount if shaped else 0


def append_events(session: Session, at: datetime, kind: str, events: Iterable[Row]) -> None:
    """Append to the event log: entity, before, after and because of each move."""
    instant = as_micros(at)
    execute_rows(session, _APPEND, _EVENT, ((instant, kind, *event) for event in events))


def keeper(table: type[Base], column: str) -> Callable[[Any], Any] | None:
    """What makes of a value what the column keeps; None when that is the value itself."""
    kind = table.__table__.c[column].type
    if isinstance(kind, Instant):
        return as_micros
    return _as_document if isinstance(kind, JSON) else None


@lru_cache(maxsize=4096)
def as_micros(at: datetime | None) -> int | None:
    """An instant as its column keeps it. Many rows of one statement share theirs."""
    return None if at is None else (at - EPOCH) // MICROSECOND


def from_micros(kept: int | None) -> datetime | None:
    """The instant that its column keeps so."""
    return None if kept is None else EPOCH + timedelta(microseconds=kept)


def _as_document(value: Any) -> str | None:
    return None if value is None else encode_document(value)


@lru_cache(maxsize=256)
def _compiled(statement: UpdateBase, names: tuple[str, ...], dialect: Dialect) -> tuple[str, Callable[[Row], Any]]:
    """The statement's text, and what makes the driver's parameters of a row."""
    compiled = statement.compile(dialect=dialect)
    if not compiled.positional:
        return str(compiled), lambda row: dict(zip(names, row, strict=True))
    order = [names.index(name) for name in compiled.positiontup or ()]
    if order == list(range(len(names))):
        return str(compiled), tuple
    return str(compiled), itemgetter(*order)
