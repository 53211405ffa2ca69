"""Tasks as their agents are told of them: what is wished of a host's tasks, and the columns that a payload is made of.

Documents stay text until somebody wants to look inside: most tasks of a service have them alike to the letter.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import JSON, Select, String, Text, bindparam, cast, select

from state.given import GIVEN, as_given, given
from state.store import Session
from state.tasks import TASK, Task

# By name, so that the host's stopped tasks, which are many, are not even looked at.
NOT_STOPPED = tuple(status for status in TASK.moves if status != "STOPPED")


class ToldTask(NamedTuple):
    """What of a task its payload is made of; the members are Task's, documents as text."""

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
    containers_text: str
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

    @property
    def containers(self) -> list[dict[str, Any]]:
        # What we wrote ourselves needs none of json.loads' care for white space.
        return list(_DECODER.raw_decode(self.containers_text)[0])


def wishes_on(session: Session, container_instance_id: str) -> dict[str, str]:
    """``desired_status`` by id of the host's tasks that have not stopped, oldest first."""
    return dict(session.connection().execute(_WISHES, {"host": container_instance_id}).all())


def list_told(session: Session, ids: Sequence[str]) -> Iterator[ToldTask]:
    """The tasks of these ids that are there, in the order of the ids."""
    connection = session.connection()
    asked = as_given((task_id,) for task_id in ids)
    by_id = {row[0]: row for row in connection.execute(_told(connection.dialect.name), {GIVEN: asked}).all()}
    return (ToldTask._make(by_id[task_id]) for task_id in ids if task_id in by_id)


def _columns() -> Iterable[Any]:
    for field in ToldTask._fields:
        column = _TABLE.c["group_name" if field == "group" else field.removesuffix("_text")]
        yield cast(column, Text) if isinstance(column.type, JSON) else column


_DECODER = json.JSONDecoder()
_TABLE = Task.metadata.tables[Task.__tablename__]
_WISHES: Select[Any] = (
    select(_TABLE.c.id, _TABLE.c.desired_status)
    .where(_TABLE.c.container_instance_id == bindparam("host"), _TABLE.c.last_status.in_(NOT_STOPPED))
    .order_by(_TABLE.c.created_at, _TABLE.c.id)
)


@cache
def _told(dialect: str) -> Select[Any]:
    return select(*_columns()).where(_TABLE.c.id.in_(select(given(dialect, {"id": String()}).c.id)))
