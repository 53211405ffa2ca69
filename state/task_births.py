"""Births: tasks alike written by one statement, with their events and counts.

What the tasks have in common travels once, whatever their number; only what differs travels by task.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    ColumnDefault,
    ColumnElement,
    Insert,
    String,
    bindparam,
    cast,
    func,
    insert,
    literal,
    null,
    select,
)

from state.base import Event, encode_document
from state.given import GIVEN, as_given, given
from state.store import Session
from state.task_counts import COUNTED, Cell, move_counts
from state.tasks import TASK, Task

_TASKS = Task.metadata.tables[Task.__tablename__]
_COLUMNS = {attribute.key: attribute.columns[0] for attribute in Task.__mapper__.column_attrs}
# In one statement.
MOST_BIRTHS = 10_000


class Birth(NamedTuple):
    """What one task has of its own; the members are Task's, documents encoded as their columns hold them."""

    id: str
    container_instance_id: str | None = None
    capacity_id: str | None = None
    job_id: str | None = None
    containers: str = "[]"
    attachments: str = "[]"
    extra_environment: str = "{}"


def bear_tasks(session: Session, alike: Mapping[str, Any], births: Sequence[Birth], *, because: str) -> None:
    """Write the tasks, ``alike`` in the members of Task that it names; events say ``because`` and the task's host."""
    for start in range(0, len(births), MOST_BIRTHS):
        _bear(session, alike, births[start : start + MOST_BIRTHS], because)


def _bear(session: Session, alike: Mapping[str, Any], births: Sequence[Birth], because: str) -> None:
    by_member = dict(zip(Birth._fields, zip(*births, strict=True), strict=True))
    differing = tuple(
        name for name, values in by_member.items() if name == "id" or values.count(values[0]) < len(values)
    )
    common: dict[str, Any] = {name: None for name in _COLUMNS if name not in differing}
    for name, value in (_defaults() | dict(alike)).items():
        common[name] = encode_document(value) if _is_document(name) and value is not None else value
    common |= {name: values[0] for name, values in by_member.items() if name not in differing}
    connection = session.connection()
    rows = as_given(zip(*(by_member[name] for name in differing), strict=True))
    connection.execute(_insert(connection.dialect.name, differing), {**common, GIVEN: rows})
    connection.execute(
        _tell(connection.dialect.name),
        {
            "at": common["created_at"],
            "cluster": common["cluster"],
            "after": common["last_status"],
            "why": because,
            GIVEN: as_given(zip(by_member["id"], by_member["container_instance_id"], strict=True)),
        },
    )
    cell = Cell(*[common.get(name) or "" for name in COUNTED])
    hosts = Counter(host or "" for host in by_member["container_instance_id"])
    move_counts(session, {cell._replace(container_instance_id=host): count for host, count in hosts.items()})


@cache
def _insert(dialect: str, differing: tuple[str, ...]) -> Insert:
    rows = given(dialect, {name: _COLUMNS[name].type for name in differing})
    values = {name: rows.c[name] if name in differing else _common(dialect, name) for name in _COLUMNS}
    return insert(_TASKS).from_select([_COLUMNS[name] for name in values], select(*values.values()))


@cache
def _tell(dialect: str) -> Insert:
    rows = given(dialect, {"id": String(), "host": String()})
    text = String()
    entity = literal("task/") + bindparam("cluster", type_=text) + literal("/") + rows.c.id
    why = bindparam("why", type_=text) + func.coalesce(rows.c.host, "")
    at = bindparam("at", type_=Event.__table__.c.at.type)
    after = bindparam("after", type_=text)
    return insert(Event).from_select(
        ["at", "kind", "entity", "before", "after", "because"],
        select(at, literal(TASK.name), entity, cast(null(), String), after, why),
    )


def _common(dialect: str, name: str) -> ColumnElement[Any]:
    """A parameter for all rows: documents come encoded already."""
    if not _is_document(name):
        return bindparam(name, type_=_COLUMNS[name].type)
    text = bindparam(name, type_=String)
    return text if dialect == "sqlite" else cast(text, JSON)


@cache
def _defaults() -> dict[str, Any]:
    """What Task itself says of members that nobody names."""
    defaults = {name: column.default for name, column in _COLUMNS.items()}
    return {
        name: default.arg(None) if default.is_callable else default.arg
        for name, default in defaults.items()
        if isinstance(default, ColumnDefault)
    }


def _is_document(name: str) -> bool:
    return isinstance(_COLUMNS[name].type, JSON)
