"""CancelJob and TerminateJob: they write the wish and the reason; the jobs loop ends the job."""

from typing import Any

from orchestrator.api.batch.errors import ClientException
from orchestrator.api.batch.lookup import find_job
from orchestrator.api.batch.wire import batch
from orchestrator.call import Call
from state.jobs import FINISHED, ask_children_to_stop

NOT_STARTED = ("SUBMITTED", "PENDING", "RUNNABLE")
LONGEST_REASON = 1024


@batch.operation("CancelJob")
def cancel_job(call: Call, request: dict[str, Any]) -> None:
    """Ends a job that has not started; one that has is left alone, and the call succeeds all the same."""
    _stop(call, request, column="is_cancelled", statuses=NOT_STARTED)


@batch.operation("TerminateJob")
def terminate_job(call: Call, request: dict[str, Any]) -> None:
    """Ends a job wherever it stands; one that has finished is left as it is, and the call succeeds all the same."""
    _stop(call, request, column="is_terminated", statuses=(*NOT_STARTED, "STARTING", "RUNNING"))


def _stop(call: Call, request: dict[str, Any], *, column: str, statuses: tuple[str, ...]) -> None:
    reason = request["reason"]
    if not request["jobId"] or not reason:
        raise ClientException("jobId and reason must be specified.")
    reason = reason[:LONGEST_REASON]
    job = find_job(call, request["jobId"], lock=True)
    if job.status in FINISHED or job.status not in statuses:
        return
    setattr(job, column, True)
    if job.stop_asked_at is None:
        job.stop_asked_at = call.now
        job.stop_reason = reason
    if job.array_size is not None:
        ask_children_to_stop(call.session, [job.id], statuses=statuses, column=column, at=call.now, because=reason)
    call.session.wake("jobs")
