"""Image notes: which hosts have what a task definition needs, told by the tasks of it that have started there.

Nothing is written for this and no agent says it, the official one has no word for it: a host on which a task of the
same revision has started had all its images then. A task that only was to start there tells nothing, so a host that
can't pull is not preferred for having been tried. Reads a bounded number of the family's newest tasks, now and then.
"""

from collections import OrderedDict
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select

from scheduler.placement import Fleet
from state.store import Session
from state.tasks import Task

READ_AGAIN = timedelta(seconds=30)
MOST_TASKS = 500
MOST_DEFINITIONS = 256

_TABLE = Task.metadata.tables[Task.__tablename__].c
_NEWEST = (
    select(_TABLE.cluster, _TABLE.revision, _TABLE.started_at, _TABLE.container_instance_id)
    .where(_TABLE.family == bindparam("family"))
    .order_by(_TABLE.id.desc())
    .limit(MOST_TASKS)
    .subquery()
)
_HOSTS = (
    select(_NEWEST.c.container_instance_id)
    .where(
        _NEWEST.c.cluster == bindparam("cluster"),
        _NEWEST.c.revision == bindparam("revision"),
        _NEWEST.c.started_at.is_not(None),
        _NEWEST.c.container_instance_id.is_not(None),
    )
    .distinct()
)


class ImageNotes:
    """When each task definition was looked up last, for one cluster's fleet."""

    def __init__(self) -> None:
        self._read_at: OrderedDict[str, datetime] = OrderedDict()

    def refresh(
        self, session: Session, fleet: Fleet, cluster: str, family: str, revision: int, *, now: datetime
    ) -> None:
        """Tell the fleet who has the images, unless that was done a moment ago or there is nothing to choose."""
        if len(fleet) < 2:
            return
        image = image_of(family, revision)
        read_at = self._read_at.get(image)
        if read_at is not None and read_at <= now < read_at + READ_AGAIN:
            return
        self._read_at[image] = now
        self._read_at.move_to_end(image)
        if len(self._read_at) > MOST_DEFINITIONS:
            self._read_at.popitem(last=False)
        found = session.connection().execute(_HOSTS, {"cluster": cluster, "family": family, "revision": revision})
        fleet.tell_image(image, found.scalars())


def image_of(family: str, revision: int) -> str:
    """What stands for the images of a task definition in an ask."""
    return f"{family}:{revision}"
