"""Whether the counts of tasks are what one finds by counting the tasks."""

from collections.abc import Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from state.task_counts import COUNTED, Cell, TaskCount
from state.tasks import Task


def counts_amiss(session: Session) -> Iterator[str]:
    """Every cell that is not what a GROUP BY over all tasks says."""
    columns = [func.coalesce(getattr(Task, name), "") for name in COUNTED]
    rows = session.execute(select(*columns, func.count()).where(Task.last_status != "STOPPED").group_by(*columns))
    counted = {Cell(*row[:-1]): row[-1] for row in rows}
    kept_columns = [getattr(TaskCount, name) for name in Cell._fields]
    kept = {Cell(*row[:-1]): row[-1] for row in session.execute(select(*kept_columns, TaskCount.tasks))}
    for cell in sorted(counted.keys() | kept.keys()):
        if counted.get(cell, 0) != kept.get(cell, 0):
            yield f"{kept.get(cell, 0)} tasks are kept, {counted.get(cell, 0)} are there of {cell}"
