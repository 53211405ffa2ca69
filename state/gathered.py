"""Gathered rows: many rows answered as one text, for statements that read thousands while others compute.

Python's driver for SQLite lets go of the interpreter at every row and has to get it back: beside threads that compute,
that takes longer than all else about a row. PostgreSQL's has all rows before it looks at them, so there rows are rows.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Select, Text, func, select

_DECODER = json.JSONDecoder()


def gathered(dialect: str, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    """A selection of the columns, to be read by ``fetch_gathered``. Documents are answered as documents, instants as
    whoever selects them says; the order of rows is anybody's guess, and on SQLite truth is 1 and 0."""
    if dialect != "sqlite":
        return select(*columns)
    cells = [func.json(column) if isinstance(column.type, JSON) else column for column in columns]
    return select(func.json_group_array(func.json_array(*cells), type_=Text()))


def fetch_gathered(
    connection: Connection, statement: Select[Any], values: Mapping[str, Any]
) -> Sequence[Sequence[Any]]:
    """The rows of a statement that ``gathered`` has begun."""
    answer = connection.execute(statement, values)
    if connection.dialect.name != "sqlite":
        return answer.all()
    # What the database wrote needs none of json.loads' care for white space.
    rows: Sequence[Sequence[Any]] = _DECODER.raw_decode(answer.scalar_one())[0]
    return rows
