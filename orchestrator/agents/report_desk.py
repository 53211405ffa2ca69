"""The report desk: where the agents' state changes arrive, alone or by the thousand, and are written together.

Reports that arrive while others are being written are gathered into the next transaction. One that makes no sense is
refused alone; when a transaction fails, whoever waits for it is told so and may report again: reports are absolute.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from kit.aws.errors import AccessDeniedException, AwsError, InternalFailure, InvalidParameterException
from kit.clock import Clock
from kit.ids import last_part
from orchestrator.agents.gathering import Gathering
from orchestrator.agents.reports import NOTHING, BadAttachment, merge_report, owners
from scheduler.ending import OVER, let_capacity_go
from state.base import Event
from state.observed_tasks import Change, ObservedTask, lock_observed, write_observed
from state.reservations import Holding, give_back
from state.role_sessions import end_role_sessions
from state.store import Session, Store, StoreBusy, StoreUnavailable

log = logging.getLogger(__name__)
# A transaction of this many takes a fraction of a second; other writers want their turn too.
MOST_TOGETHER = 5_000

# A member of a report that says which host it is of, where its agent's key is one host's.
REPORTER = "berth.reporter"

# The members of SubmitTaskStateChange; instants may be datetimes or epoch seconds.
Report = Mapping[str, Any]
Answers = Sequence[AwsError | None]


class ReportDesk:
    """One per process. ``submit`` may be called on any thread."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._gathering: Gathering[Report, AwsError | None] = Gathering(self._round, most=MOST_TOGETHER)

    def submit(self, reports: Sequence[Report]) -> Answers:
        """Write the reports in one transaction; answers, in their order, None or why that one alone was refused.

        Raises StoreBusy and StoreUnavailable: then all may be submitted again.
        """
        return self._gathering.submit(reports) if reports else ()

    def _round(self, take: Callable[[], Sequence[Report]]) -> Answers:
        taken: Sequence[Report] = ()

        def write(session: Session) -> Answers:
            # Not before it is this thread's turn to write: until then more may gather.
            nonlocal taken
            taken = take()
            return apply_reports(session, taken, now=self._clock.now())

        return self._written(write, lambda: taken)

    def _written(self, write: Callable[[Session], Answers], reports: Callable[[], Sequence[Report]]) -> Answers:
        """The answers; where a report makes the whole transaction fail, it is found by halves and fails alone."""
        try:
            return self._store.transact(write)
        except (StoreBusy, StoreUnavailable):
            raise
        except Exception:
            found = reports()
            if not found:
                raise
            if len(found) == 1:
                log.exception("report not written", extra={"report": dict(found[0])})
                return [InternalFailure()]
        middle = len(found) // 2
        return [*self._part(found[:middle]), *self._part(found[middle:])]

    def _part(self, reports: Sequence[Report]) -> Answers:
        return self._written(lambda session: apply_reports(session, reports, now=self._clock.now()), lambda: reports)


def apply_reports(session: Session, reports: Sequence[Report], *, now: datetime) -> Answers:
    """Write what the reports change, in their order; answers None or an error for each."""
    ids = [last_part(str(report.get("task") or "")) for report in reports]
    tasks = lock_observed(session, ids)
    changes: dict[str, Change] = {}
    answers = [
        _merge(session, tasks.get(task_id), report, changes, now=now)
        for task_id, report in zip(ids, reports, strict=True)
    ]
    over = [tasks[task_id] for task_id, change in changes.items() if change.values.get("last_status") in OVER]
    end_role_sessions(session, [task.id for task in over if task.has_roles])
    # Before the counts, which every writer holds last.
    give_back(session, [Holding(task.id, task.container_instance_id, task.cpu, task.memory) for task in over])
    write_observed(session, [(tasks[task_id], change) for task_id, change in changes.items()], at=now)
    for task in over:
        if task.capacity_id is not None:
            let_capacity_go(session, task.capacity_id, task.id, now=now)
    return answers


def _merge(
    session: Session, task: ObservedTask | None, report: Report, changes: dict[str, Change], *, now: datetime
) -> AwsError | None:
    if task is None:
        return InvalidParameterException("The referenced task was not found.")
    if REPORTER in report and report[REPORTER] != task.container_instance_id:
        return AccessDeniedException("The task is not on the container instance that reports it.")
    before = changes.get(task.id)
    try:
        change = merge_report(task.after(before.values) if before else task, report, now=now)
    except BadAttachment as bad:
        return InvalidParameterException(str(bad))
    except Exception:
        log.exception("report not understood", extra={"task": task.id})
        return InternalFailure()
    if change is not NOTHING and task.last_status in OVER:
        _tell_overlap(session, task, change, now)
    if change is not NOTHING:
        changes[task.id] = before.then(change) if before else change
    if task.last_status not in OVER:
        session.wakes.update(owners(task))
    return None


def _tell_overlap(session: Session, task: ObservedTask, change: Change, now: datetime) -> None:
    """A copy on a lost host ran beside the task that was started in its place: for how long is an event."""
    assert task.execution_stopped_at is not None
    seconds = (change.values["execution_stopped_at"] - task.execution_stopped_at).total_seconds()
    because = f"its copy on a host that was lost ran on for {seconds:.0f} s"
    name, status = f"task/{task.cluster}/{task.id}", task.last_status
    session.add(Event(at=now, kind="task", entity=name, before=status, after=status, because=because))
    log.warning("copy ran on", extra={"task": task.id, "seconds": seconds})
