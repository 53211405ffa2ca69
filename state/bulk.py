"""Statements for many rows at once, with values that are already what the database keeps.

SQLAlchemy prepares every value of every row by itself, which costs more than the database's own work. Here the
statement is compiled once and its rows go straight to the driver: instants as microseconds, documents as text.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Dialect, Insert, String, bindparam, insert, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import UpdateBase

from state.base import EPOCH, MICROSECOND, Event
from state.given import GIVEN, as_given, given

Row = Sequence[Any]


def execute_rows(session: Session, statement: UpdateBase, names: tuple[str, ...], rows: Iterable[Row]) -> int:
    """Run the statement once for each row, whose values are its parameters ``names``; answers how many rows of the
    table that wrote in all. Keep the statement: what it compiles to is remembered by it."""
    connection = session.connection()
    text, shape = _compiled(statement, names, connection.dialect)
    shaped = list(map(shape, rows))
    return connection.exec_driver_sql(text, shaped).rowcount if shaped else 0


def append_events(session: Session, at: datetime, kind: str, events: Iterable[Row]) -> None:
    """Append to the event log: entity, before, after and because of each move, in their order."""
    connection = session.connection()
    connection.execute(_append(connection.dialect.name), {"at": at, "kind": kind, GIVEN: as_given(events)})


@lru_cache(maxsize=4096)
def as_micros(at: datetime | None) -> int | None:
    """An instant as its column keeps it. Many rows of one statement share theirs."""
    return None if at is None else (at - EPOCH) // MICROSECOND


def from_micros(kept: int | None) -> datetime | None:
    """The instant that its column keeps so."""
    return None if kept is None else EPOCH + timedelta(microseconds=kept)


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


@cache
def _append(dialect: str) -> Insert:
    text = String()
    rows = given(dialect, {"entity": text, "before": text, "after": text, "because": text})
    at = bindparam("at", type_=Event.__table__.c.at.type)
    return insert(Event).from_select(
        ["at", "kind", *(column.name for column in rows.c)], select(at, bindparam("kind", type_=text), *rows.c)
    )
