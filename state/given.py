"""Given rows: values as a table inside a statement, so that one statement writes thousands of rows on both databases.

The rows travel as one JSON text in one parameter. A document among them travels as the text that its column holds.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, ColumnElement, String, Subquery, Text, bindparam, cast, func, literal_column, select
from sqlalchemy.sql.type_api import TypeEngine

from state.base import encode_document

GIVEN = "given"
"""The statement's parameter that takes what ``as_given`` answers."""


def as_given(rows: Iterable[Sequence[Any]]) -> str:
    """The rows for the parameter GIVEN; their values in the order of the columns."""
    return encode_document(list(rows))


def given(dialect: str, columns: Mapping[str, TypeEngine[Any]]) -> Subquery:
    """A table with these columns. Instants are given as the numbers that their columns hold."""
    cells: list[ColumnElement[Any]]
    if dialect == "sqlite":
        each = func.json_each(bindparam(GIVEN, type_=String)).table_valued("value")
        cells = [func.json_extract(each.c.value, literal_column(f"'$[{place}]'")) for place in range(len(columns))]
    else:
        each = func.json_array_elements(cast(bindparam(GIVEN, type_=String), JSON)).table_valued("value")
        cells = [
            _typed(each.c.value.op("->>")(literal_column(str(place))), kind)
            for place, kind in enumerate(columns.values())
        ]
    return select(*[cell.label(name) for cell, name in zip(cells, columns, strict=True)]).subquery("rows")


def _typed(text: ColumnElement[Any], kind: TypeEngine[Any]) -> ColumnElement[Any]:
    """The text of a value as its column has it. Not as VARCHAR(n), which would cut it silently."""
    return cast(text, Text) if isinstance(kind, String) else cast(text, kind)
