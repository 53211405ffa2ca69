"""The report desk: where the agents' state changes arrive, alone or by the thousand, and are written together.

Whoever submits first becomes the leader: it takes everything that waits, writes it in one transaction and tells the
others how theirs went. No timer holds anybody back: what gathers is what arrives while the writer is busy.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kit.aws.errors import AwsError, InvalidParameterException
from kit.clock import Clock
from kit.ids import last_part
from orchestrator.agents.reports import apply_task_report
from state.store import Session, Store
from state.tasks import Task

# The members of SubmitTaskStateChange; instants may be datetimes or epoch seconds.
Report = Mapping[str, Any]


class ReportDesk:
    """One per process. ``submit`` may be called on any thread."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def submit(self, reports: Sequence[Report]) -> Sequence[AwsError | None]:
        """Write the reports; answers, in their order, None or why that one alone was refused.

        Raises StoreBusy and StoreUnavailable: then none is written, and all may be submitted again.
        """

        def write(session: Session) -> list[AwsError | None]:
            return [self._one(session, report) for report in reports]

        return self._store.transact(write)

    def _one(self, session: Session, report: Report) -> AwsError | None:
        task = session.get(Task, last_part(str(report.get("task") or "")), with_for_update=True)
        if task is None:
            return InvalidParameterException("The referenced task was not found.")
        apply_task_report(session, task, report, now=self._clock.now())
        return None
