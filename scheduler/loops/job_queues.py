"""The job queues loop: CREATING and UPDATING become VALID; DELETING terminates the queue's jobs and then ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from state.job_queues import JobQueue, get_job_queue, list_job_queues
from state.jobs import terminate_queue, unfinished_in
from state.loop import Loop
from state.store import Session

HEALTHY = "JobQueue Healthy"
DELETED = "Job queue was deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A queue in between, and how many of its jobs have not finished."""

    queue: JobQueue
    unfinished: int


class JobQueuesLoop(Loop):
    """Keeps job queues as they are wished."""

    name: ClassVar[str] = "job_queues"
    every = timedelta(seconds=10)

    def observe(self, session: Session, now: datetime) -> Sequence[Seen]:
        queues = [one for one in list_job_queues(session) if one.status in ("CREATING", "UPDATING", "DELETING")]
        return [
            Seen(queue=one, unfinished=unfinished_in(session, one.name) if one.status == "DELETING" else 0)
            for one in queues
        ]

    def decide(self, seen: Sequence[Seen], now: datetime) -> Sequence[Seen] | None:
        return seen or None

    def record(self, session: Session, outcome: Sequence[Seen], now: datetime) -> None:
        for seen in outcome:
            queue = get_job_queue(session, seen.queue.name, lock=True)
            if queue is None:
                continue
            if queue.status in ("CREATING", "UPDATING"):
                queue.advance("VALID", at=now, because=HEALTHY)
                queue.status_reason = HEALTHY
                session.wake("jobs", "compute_environments")
            elif queue.status == "DELETING":
                _end(session, queue, now)

    def next_look(self, seen: Sequence[Seen], now: datetime) -> datetime | None:
        return now + timedelta(seconds=1) if any(one.unfinished for one in seen) else None


def _end(session: Session, queue: JobQueue, now: datetime) -> None:
    """Gone when its jobs are; asking them to end again does no harm."""
    if unfinished_in(session, queue.name):
        terminate_queue(session, queue.name, at=now, because=DELETED)
        session.wake("jobs")
        return
    queue.advance("DELETED", at=now, because="its jobs have finished")
    session.flush()
    session.delete(queue)
