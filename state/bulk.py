"""Statements for many rows at once, with values that are already what the database keeps.

SQLAlchemy prepares every value of every row by itself, which costs more than the database's own work. Here the
statement is compiled once and its rows go straight to the driver: instants as microseconds, documents as text.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Dialect, bindparam, insert
from sqlalchemy.sql.dml import UpdateBase

from state.base import EPOCH, MICROSECOND, Base, Event
from state.store import Session

# ``inline``: nobody asks for the numbers that the database gives out.
_APPEND = (
    insert(Event)
    .values({name: bindparam(name) for name in ("at", "kind", "entity", "before", "after", "because")})
    .inline()
)


def execute_rows(session: Session, statement: UpdateBase, rows: Sequence[Mapping[str, Any]]) -> int:
    """Run the statement once for each row of parameters, by name; answers how many rows it wrote in all.

    Keep the statement: what it compiles to is remembered for as long as it lives.
    """
    if not rows:
        return 0
    connection = session.connection()
    text, shape = _compiled(statement, connection.dialect)
    return connection.exec_driver_sql(text, [shape(row) for row in rows]).rowcount


def stored(table: type[Base], columns: Iterable[str]) -> dict[str, Callable[[Any], Any]]:
    """What makes of a value of each column what the database keeps; columns that keep it as it is are left out."""
    writers: dict[str, Callable[[Any], Any]] = {"Instant": _micros, "JSON": _document}
    kinds = {name: type(table.__table__.c[name].type).__name__ for name in columns}
    return {name: writers[kind] for name, kind in kinds.items() if kind in writers}


def append_events(session: Session, events: Sequence[Mapping[str, Any]]) -> None:
    """Append to the event log; each has the members of Event, ``at`` as an instant."""
    execute_rows(session, _APPEND, [{**event, "at": _micros(event["at"])} for event in events])


def _micros(value: Any) -> int | None:
    return None if value is None else (value - EPOCH) // MICROSECOND


def _document(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


@lru_cache(maxsize=256)
def _compiled(statement: UpdateBase, dialect: Dialect) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
    """The statement's text, and what makes the driver's parameters of a row."""
    compiled = statement.compile(dialect=dialect)
    if not compiled.positional:
        return str(compiled), dict
    names = list(compiled.positiontup or ())
    return str(compiled), itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)
