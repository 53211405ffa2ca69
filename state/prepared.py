"""Statements of the busiest paths: compiled once, their values given to the driver as they are.

SQLAlchemy spends many times what SQLite does on looking up one row. These statements skip that, within the same
transactions. What they are given and answer is what the database keeps: instants in microseconds (``bulk.as_micros``),
documents as text.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import CursorResult, Executable, Row, bindparam
from sqlalchemy.orm import Session


class Prepared:
    """One statement, or for each database its own, made when first needed. Safe to use from many threads."""

    def __init__(self, statement: Executable | Callable[[str], Executable]) -> None:
        self._statement = statement
        self._texts: dict[str, tuple[str, tuple[str, ...] | None, dict[str, Any]]] = {}

    def row(self, session: Session, **values: Any) -> Row[Any] | None:
        """The first row."""
        return self._run(session, values).first()

    def rows(self, session: Session, **values: Any) -> int:
        """How many rows were written."""
        return self._run(session, values).rowcount

    def _run(self, session: Session, values: dict[str, Any]) -> CursorResult[Any]:
        session.flush()
        connection = session.connection()
        known = self._texts.get(connection.dialect.name)
        if known is None:
            statement = self._statement
            if not isinstance(statement, Executable):
                statement = statement(connection.dialect.name)
            compiled = statement.compile(dialect=connection.dialect)  # type: ignore[attr-defined]
            order = tuple(compiled.positiontup or ()) if compiled.positional else None
            known = self._texts[connection.dialect.name] = (str(compiled), order, dict(compiled.params))
        text, order, constants = known
        given = {**constants, **values}
        return connection.exec_driver_sql(text, given if order is None else tuple([given[name] for name in order]))


def values_of(*names: str) -> dict[str, Any]:
    """For each column of an insertion the value of its name."""
    return {name: bindparam(name) for name in names}
