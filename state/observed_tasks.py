"""Tasks as the agents' reports see and change them: many at a time, as columns, without an entity for each.

Reading locks, in the order of ids, so that two writers of the same tasks meet in the same order; writing is guarded
by the version that was read. Events and counts go with the moves.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Select, String, Update, bindparam, cast, literal_column, select, update

from state.bulk import append_events, execute_rows, stored
from state.store import Conflict, Session
from state.task_counts import Cell, move_counts
from state.tasks import TASK, Task

MOST_IDS = 1000


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
    wanted = sorted(set(ids))
    found = {}
    for start in range(0, len(wanted), MOST_IDS):
        for row in session.execute(_SELECT, {"ids": wanted[start : start + MOST_IDS]}):
            found[row[0]] = ObservedTask._make((*row[:-2], json.loads(row[-2]), _few(row[-1])))
    return found


def write_observed(session: Session, changes: Sequence[tuple[ObservedTask, Change]], *, at: datetime) -> None:
    """Write what becomes of the tasks, the events of their moves, and the counts. Raises Conflict."""
    alike: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    deltas: Counter[tuple[str | None, ...]] = Counter()
    events = []
    for task, (values, moves) in changes:
        alike[tuple(values)].append({**values, "this": task.id, "seen": task.version})
        for before, after, because in moves:
            TASK.check(before, after)
            entity = f"task/{task.cluster}/{task.id}"
            events.append(
                {"at": at, "kind": "task", "entity": entity, "before": before, "after": after, "because": because}
            )
        if "last_status" in values or "desired_status" in values:
            deltas[task[1:10]] -= 1
            deltas[
                *task[1:7],
                values.get("last_status", task.last_status),
                values.get("desired_status", task.desired_status),
                task.health_status,
            ] += 1
    for columns, rows in alike.items():
        if columns:
            _write(session, columns, rows)
    append_events(session, events)
    move_counts(session, {Cell(*[value or "" for value in cell]): delta for cell, delta in deltas.items()})


def _write(session: Session, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    for name, made in stored(Task, columns).items():
        for row in rows:
            row[name] = made(row[name])
    if execute_rows(session, _update(columns), rows) != len(rows):
        raise Conflict("a task was written by someone else meanwhile")


def _few(document: str) -> list[dict[str, Any]]:
    # Most tasks have none, and reading that costs more than knowing it.
    return [] if document == "[]" else json.loads(document)


def _columns() -> Iterable[Any]:
    for name in ObservedTask._fields:
        column = getattr(Task, name)
        yield cast(column, String) if name in ("containers", "attachments") else column


_SELECT: Select[Any] = (
    select(*_columns()).where(Task.id.in_(bindparam("ids", expanding=True))).order_by(Task.id).with_for_update()
)


@lru_cache(maxsize=256)
def _update(columns: tuple[str, ...]) -> Update:
    table = Task.__table__.c
    values: Mapping[str, Any] = {name: bindparam(name) for name in columns}
    return (
        update(Task)
        .where(table.id == bindparam("this"), table.version == bindparam("seen"))
        .values({**values, "version": table.version + literal_column("1")})
    )
