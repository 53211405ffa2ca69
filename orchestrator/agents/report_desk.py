"""The report desk: where the agents' state changes arrive, alone or by the thousand, and are written together.

Reports that arrive while others are being written are gathered into the next transaction. One that makes no sense is
refused alone; when a transaction fails, whoever waits for it is told so and may report again: reports are absolute.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from kit.aws.errors import AwsError, InternalFailure, InvalidParameterException
from kit.clock import Clock
from kit.ids import last_part
from orchestrator.agents.gathering import Gathering
from orchestrator.agents.reports import NOTHING, merge_report, owners
from scheduler.ending import OVER, let_capacity_go
from state.observed_tasks import Change, ObservedTask, Writing, lock_observed, prepare_writing, write_observed
from state.reservations import Holding, give_back
from state.store import Session, Store, StoreBusy, StoreUnavailable

log = logging.getLogger(__name__)
# A transaction of this many takes a fraction of a second; other writers want their turn too.
MOST_TOGETHER = 5_000

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
        ahead: Findings | None = None
        if self._store.embedded:
            # There is one writer: what can be done before it is this thread's turn holds up nobody.
            taken = take()
            ahead = self._look_ahead(taken)

        def write(session: Session) -> Answers:
            nonlocal taken, ahead
            if ahead is not None:
                # Should a task not be as it was read, the repeat reads it anew.
                found, ahead = ahead, None
                return write_findings(session, found)
            # Not before it is this thread's turn to write: until then more may gather.
            taken = take()
            return apply_reports(session, taken, now=self._clock.now())

        return self._written(write, lambda: taken)

    def _look_ahead(self, reports: Sequence[Report]) -> "Findings | None":
        now = self._clock.now()
        try:
            return self._store.read(lambda session: find(session, reports, now=now))
        except Exception as error:
            # The other way will tell who is at fault.
            log.debug("reports not read ahead", extra={"because": str(error)})
            return None

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


class Findings(NamedTuple):
    """What reports change, made ready to be written, and the answer to each."""

    at: datetime
    answers: Answers
    writing: Writing
    over: Sequence[ObservedTask]
    wakes: frozenset[str]


def apply_reports(session: Session, reports: Sequence[Report], *, now: datetime) -> Answers:
    """Write what the reports change, in their order; answers None or an error for each."""
    return write_findings(session, find(session, reports, now=now))


def find(session: Session, reports: Sequence[Report], *, now: datetime) -> Findings:
    """Read the tasks concerned, and what the reports change of them, in their order."""
    ids = [last_part(str(report.get("task") or "")) for report in reports]
    tasks = lock_observed(session, ids)
    changes: dict[str, Change] = {}
    answers = [
        _merge(tasks.get(task_id), report, changes, now=now) for task_id, report in zip(ids, reports, strict=True)
    ]
    return Findings(
        at=now,
        answers=answers,
        writing=prepare_writing([(tasks[task_id], change) for task_id, change in changes.items()]),
        over=[tasks[task_id] for task_id, change in changes.items() if change.values.get("last_status") in OVER],
        wakes=frozenset(name for task in tasks.values() if task.last_status not in OVER for name in owners(task)),
    )


def write_findings(session: Session, found: Findings) -> Answers:
    """Write it all. Raises Conflict when a task is not as it was read."""
    # Before the counts, which every writer holds last.
    give_back(session, [Holding(task.id, task.container_instance_id, task.cpu, task.memory) for task in found.over])
    write_observed(session, found.writing, at=found.at)
    for task in found.over:
        if task.capacity_id is not None:
            let_capacity_go(session, task.capacity_id, task.id, now=found.at)
    session.wake(*found.wakes)
    return found.answers


def _merge(task: ObservedTask | None, report: Report, changes: dict[str, Change], *, now: datetime) -> AwsError | None:
    if task is None:
        return InvalidParameterException("The referenced task was not found.")
    before = changes.get(task.id)
    try:
        change = merge_report(task.after(before.values) if before else task, report, now=now)
    except Exception:
        log.exception("report not understood", extra={"task": task.id})
        return InternalFailure()
    if change is not NOTHING:
        changes[task.id] = before.then(change) if before else change
    return None
