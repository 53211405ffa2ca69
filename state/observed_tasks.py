"""Tasks as the agents' reports see and change them: many at a time, as columns, without an entity for each.

Reading locks, in the order of ids, so that two writers of the same tasks meet in the same order; writing is guarded
by the version that was read. Events and counts go with the moves.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    BigInteger,
    Select,
    String,
    Text,
    Update,
    bindparam,
    cast,
    literal_column,
    select,
    type_coerce,
    update,
)

from state.base import Instant
from state.bulk import append_events, execute_rows, from_micros, keeper
from state.given import GIVEN, as_given, given
from state.store import Conflict, Session
from state.task_counts import Cell, move_counts
from state.tasks import TASK, Task


class ObservedTask(NamedTuple):
    """What of a task the rules of reports need; the members are Task's. The first ten are what it is counted by."""

    id: str
    cluster: str
    container_instance_id: str | None
    group: str | None
    deployment_id: str | None
    launch_type: str
    capacity_provider: str | None
    last_status: str
    desired_status: str
    health_status: str
    version: int
    service_name: str | None
    job_id: str | None
    capacity_id: str | None
    cpu: int
    memory: int
    stopped_reason: str | None
    pull_started_at: datetime | None
    pull_stopped_at: datetime | None
    connectivity_at: datetime | None
    started_at: datetime | None
    stopping_at: datetime | None
    execution_stopped_at: datetime | None
    has_roles: bool
    containers: list[dict[str, Any]]
    attachments: list[dict[str, Any]]

    def after(self, values: Mapping[str, Any]) -> "ObservedTask":
        """The task with new values; those of attributes that it does not have are left out."""
        return self._replace(**{name: value for name, value in values.items() if name in self._fields})


class Move(NamedTuple):
    """One step of a task's course, for the event log."""

    before: str
    after: str
    because: str


class Change(NamedTuple):
    """What becomes of one task: new values by attribute, and the moves between, in order."""

    values: dict[str, Any]
    moves: tuple[Move, ...]

    def then(self, other: "Change") -> "Change":
        """Both, one after the other."""
        return Change({**self.values, **other.values}, self.moves + other.moves)


def lock_observed(session: Session, ids: Collection[str]) -> dict[str, ObservedTask]:
    """The tasks of these ids that are there, by id, held for this transaction."""
    connection = session.connection()
    asked = as_given((task_id,) for task_id in sorted(set(ids)))
    rows = connection.execute(_select(connection.dialect.name), {GIVEN: asked})
    return {row[0]: _observed(row) for row in rows.all()}


def write_observed(session: Session, changes: Sequence[tuple[ObservedTask, Change]], *, at: datetime) -> None:
    """Write what becomes of the tasks, the events of their moves, and the counts. Raises Conflict."""
    alike: defaultdict[tuple[str, ...], list[tuple[Any, ...]]] = defaultdict(list)
    events = []
    for task, (values, moves) in changes:
        alike[tuple(values)].append((*values.values(), task.id, task.version))
        for before, after, because in moves:
            TASK.check(before, after)
            events.append((f"task/{task.cluster}/{task.id}", before, after, because))
    for columns, rows in alike.items():
        if execute_rows(session, _update(columns), (*columns, "this", "seen"), _kept(columns, rows)) != len(rows):
            raise Conflict("a task was written by someone else meanwhile")
    append_events(session, at, TASK.name, events)
    _count(session, changes)


def _count(session: Session, changes: Sequence[tuple[ObservedTask, Change]]) -> None:
    """Move the tasks from the cells they were in to those they are in."""
    steps = Counter(
        (task[1:10], values.get("last_status", task.last_status), values.get("desired_status", task.desired_status))
        for task, (values, _) in changes
        if "last_status" in values or "desired_status" in values
    )
    deltas: Counter[Cell] = Counter()
    for (was, last_status, desired_status), count in steps.items():
        cell = Cell(*[value or "" for value in was])
        deltas[cell] -= count
        deltas[cell._replace(last_status=last_status, desired_status=desired_status)] += count
    move_counts(session, deltas)


def _kept(columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
    """The rows with every value as its column keeps it."""
    by_column: list[Iterable[Any]] = list(zip(*rows, strict=True))
    for place, column in enumerate(columns):
        keep = keeper(Task, column)
        if keep is not None:
            by_column[place] = map(keep, by_column[place])
    return zip(*by_column, strict=True)


def _observed(row: Sequence[Any]) -> ObservedTask:
    # Most instants are yet to come.
    instants = row[_INSTANTS]
    if any(instants):
        instants = [from_micros(at) for at in instants]
    return ObservedTask._make(
        (*row[: _INSTANTS.start], *instants, *row[_INSTANTS.stop : -2], _document(row[-2]), _document(row[-1]))
    )


def _document(text: str) -> list[dict[str, Any]]:
    # Many tasks have no attachments, and knowing that costs less than reading it. What we wrote ourselves needs none of
    # json.loads' care for white space.
    found: list[dict[str, Any]] = [] if text == "[]" else _DECODER.raw_decode(text)[0]
    return found


def _columns() -> Iterable[Any]:
    for name in ObservedTask._fields:
        column = _TABLE.c[_NAMES.get(name, name)]
        match column.type:
            case JSON():
                yield cast(column, Text).label(name)
            case Instant():
                yield type_coerce(column, BigInteger).label(name)
            case _:
                yield column


_DECODER = json.JSONDecoder()
_NAMES = {"group": "group_name"}
_TABLE = Task.metadata.tables[Task.__tablename__]
_INSTANTS = slice(ObservedTask._fields.index("pull_started_at"), ObservedTask._fields.index("has_roles"))


@cache
def _select(dialect: str) -> Select[Any]:
    ids = select(given(dialect, {"id": String()}).c.id)
    return select(*_columns()).where(_TABLE.c.id.in_(ids)).order_by(_TABLE.c.id).with_for_update()


@cache
def _update(columns: tuple[str, ...]) -> Update:
    return (
        update(_TABLE)
        .where(_TABLE.c.id == bindparam("this"), _TABLE.c.version == bindparam("seen"))
        .values({**{name: bindparam(name) for name in columns}, "version": _TABLE.c.version + literal_column("1")})
    )
