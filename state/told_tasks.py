"""Tasks as their agents are told of them: what is wished of a host's tasks, and the columns that a payload is made of.

Documents stay text until somebody wants to look inside: most tasks of a service have them alike to the letter.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Select, String, Text, bindparam, cast, select

from state.gathered import fetch_gathered, gathered
from state.given import GIVEN, as_given, given
from state.store import Session
from state.tasks import TASK, Task

# By name, so that the host's stopped tasks, which are many, are not even looked at.
NOT_STOPPED = tuple(status for status in TASK.moves if status != "STOPPED")


class ToldTask(NamedTuple):
    """What of a task its payload is made of; the members are Task's, documents that most have alike as text."""

    id: str
    cluster: str
    family: str
    revision: int
    desired_status: str
    launch_type: str
    service_name: str | None
    group: str | None
    cpu: int
    memory: int
    overrides_text: str
    extra_environment_text: str
    attachments_text: str
    containers: list[dict[str, Any]]
    has_roles: bool = False

    @property
    def overrides(self) -> dict[str, Any]:
        return dict(json.loads(self.overrides_text))

    @property
    def extra_environment(self) -> dict[str, str]:
        # Mostly none, and knowing that costs less than reading it.
        return {} if self.extra_environment_text == "{}" else dict(json.loads(self.extra_environment_text))

    @property
    def attachments(self) -> list[dict[str, Any]]:
        return list(json.loads(self.attachments_text))


def wishes_on(session: Session, container_instance_id: str) -> dict[str, str]:
    """``desired_status`` by id of the host's tasks that have not stopped, oldest first."""
    connection = session.connection()
    rows = fetch_gathered(connection, _wishes(connection.dialect.name), {"host": container_instance_id})
    return dict(sorted((task_id, wish) for task_id, wish in rows))


def list_told(session: Session, ids: Sequence[str]) -> Iterator[ToldTask]:
    """The tasks of these ids that are there, in the order of the ids."""
    connection = session.connection()
    asked = {GIVEN: as_given((task_id,) for task_id in ids)}
    by_id = {row[0]: row for row in fetch_gathered(connection, _told(connection.dialect.name), asked)}
    return (ToldTask._make(by_id[task_id]) for task_id in ids if task_id in by_id)


def _columns() -> Iterable[Any]:
    for field in ToldTask._fields:
        column = _TABLE.c["group_name" if field == "group" else field.removesuffix("_text")]
        yield cast(column, Text) if field.endswith("_text") else column


_TABLE = Task.metadata.tables[Task.__tablename__]


@cache
def _wishes(dialect: str) -> Select[Any]:
    return gathered(dialect, (_TABLE.c.id, _TABLE.c.desired_status)).where(
        _TABLE.c.container_instance_id == bindparam("host"), _TABLE.c.last_status.in_(NOT_STOPPED)
    )


@cache
def _told(dialect: str) -> Select[Any]:
    return gathered(dialect, tuple(_columns())).where(_TABLE.c.id.in_(select(given(dialect, {"id": String()}).c.id)))
