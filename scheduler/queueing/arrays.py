"""Array jobs: the parent's status and summary, derived from its children and nothing else.

The parent is SUBMITTED or PENDING until every child has finished; then SUCCEEDED if all did, else FAILED.
"""

from collections.abc import Mapping

from scheduler.queueing.world import FINISHED, Status

ARRAY_CHILD_FAILED = "Array Child Job failed"


def status_summary(counts: Mapping[str, int]) -> dict[str, int]:
    """``arrayProperties.statusSummary``: every status by name, zeros included."""
    return {status.value: counts.get(status, 0) for status in Status}


def parent_status(counts: Mapping[str, int]) -> Status:
    """The parent's status from the number of children in each status (at least one child).

    Source: Batch user guide, "Array jobs".
    """
    summary = status_summary(counts)
    children = sum(summary.values())
    if children and sum(summary[status] for status in FINISHED) == children:
        return Status.FAILED if summary[Status.FAILED] else Status.SUCCEEDED
    return Status.SUBMITTED if summary[Status.SUBMITTED] == children else Status.PENDING
