"""Jobs: described by id, listed by queue or array, in pages."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement

from orchestrator.api.batch.errors import ClientException, NotBuiltYet
from orchestrator.api.batch.job_view import render_job, render_summary
from orchestrator.api.batch.lookup import find_job, find_job_queue, own_name
from orchestrator.api.batch.pages import page
from orchestrator.api.batch.wire import batch
from orchestrator.call import Call
from state.base import EPOCH
from state.job_lists import (
    NameFilter,
    created_after,
    created_before,
    defined_by,
    describe_jobs,
    held_children,
    list_children,
    list_queue_jobs,
    named,
    tasks_of,
)
from state.jobs import Job, count_children

MOST_DESCRIBED = 100
MOST_LISTED = 1000
MOST_FILTERED = 100
UNDER_WAY = ("STARTING", "RUNNING")


@batch.operation("DescribeJobs")
def describe(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The jobs that exist, in the order asked; unknown ids are left out."""
    asked = request["jobs"]
    if len(asked) > MOST_DESCRIBED:
        raise ClientException(f"At most {MOST_DESCRIBED} jobs can be described at once.")
    ids = list(dict.fromkeys(filter(None, (own_name(call, ref, "job") for ref in asked))))
    jobs = describe_jobs(call.session, ids)
    children = count_children(call.session, [job.id for job in jobs.values() if job.array_size])
    tasks = tasks_of(call.session, [job for job in jobs.values() if job.status in UNDER_WAY])
    held = held_children(call.session, jobs.values())
    found = [jobs[job_id] for job_id in ids if job_id in jobs]
    return {
        "jobs": [
            render_job(call, job, tasks.get(job.task_id or ""), children.get(job.id), held.get(job.id)) for job in found
        ]
    }


@batch.operation("ListJobs")
def list_jobs(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Jobs of a queue, newest first, or an array's children by index; RUNNING ones unless said otherwise."""
    given = [name for name in ("jobQueue", "arrayJobId", "multiNodeJobId") if request.get(name)]
    if len(given) != 1:
        raise ClientException("Specify exactly one of jobQueue, arrayJobId and multiNodeJobId.")
    status = request.get("jobStatus") or "RUNNING"
    match given[0]:
        case "multiNodeJobId":
            raise NotBuiltYet("multi-node parallel jobs (multiNodeJobId)")
        case "arrayJobId":
            return _list_array(call, request, status)
        case _:
            return _list_queue(call, request, status)


def _list_array(call: Call, request: dict[str, Any], status: str) -> dict[str, Any]:
    if request.get("filters"):
        raise ClientException("filters do not apply to the children of an array job.")
    parent = find_job(call, request["arrayJobId"])
    if parent.array_size is None:
        raise ClientException(f"Job {parent.id} is not an array job.")
    rows, more = page(
        request,
        lambda after, limit: list_children(
            call.session, parent.id, status=status, after=after[0] if after else None, limit=limit
        ),
        lambda job: [job.array_index],
        kinds=(int,),
        most=MOST_LISTED,
        scope=f"jobs of {parent.id} {status}",
    )
    return {"jobSummaryList": [render_summary(call, job) for job in rows], **more}


def _list_queue(call: Call, request: dict[str, Any], status: str) -> dict[str, Any]:
    queue = find_job_queue(call, request["jobQueue"])
    filters = request.get("filters") or []
    where = [_filter(call, filters)] if filters else []

    def fetch(after: Any, limit: int) -> Any:
        return list_queue_jobs(
            call.session,
            queue.name,
            since=queue.created_at,
            status=None if filters else status,
            where=where,
            after=(EPOCH + timedelta(microseconds=after[0]), after[1]) if after else None,
            limit=limit,
        )

    def key(job: Job) -> list[Any]:
        return [(job.created_at - EPOCH) // timedelta(microseconds=1), job.id]

    most = MOST_FILTERED if filters else MOST_LISTED
    rows, more = page(
        request, fetch, key, kinds=(int, str), most=most, scope=f"jobs of {queue.name} {filters or status}"
    )
    held = held_children(call.session, rows)
    return {"jobSummaryList": [render_summary(call, job, held.get(job.id)) for job in rows], **more}


def _filter(call: Call, filters: list[Mapping[str, Any]]) -> ColumnElement[bool]:
    if len(filters) != 1:
        raise ClientException("Only one filter can be used at a time.")
    name = filters[0].get("name")
    values = filters[0].get("values") or []
    if not values:
        raise ClientException("The filter needs at least one value.")
    match name:
        case "JOB_NAME":
            return named([NameFilter(text=one.removesuffix("*"), prefix=one.endswith("*")) for one in values])
        case "JOB_DEFINITION":
            return defined_by([_definition_filter(call, one) for one in values])
        case "BEFORE_CREATED_AT":
            return created_before(_instant(values))
        case "AFTER_CREATED_AT":
            return created_after(_instant(values))
        case "SHARE_IDENTIFIER":
            raise NotBuiltYet("fair-share scheduling policies (filter SHARE_IDENTIFIER)")
        case _:
            raise ClientException(
                f"Unknown filter {str(name)[:64]!r}: JOB_NAME, JOB_DEFINITION, BEFORE_CREATED_AT or AFTER_CREATED_AT."
            )


def _definition_filter(call: Call, value: str) -> NameFilter:
    if not value.startswith("arn:"):
        return NameFilter(text=value.removesuffix("*"), prefix=value.endswith("*"))
    name, _, revision = (own_name(call, value, "job-definition") or "").partition(":")
    if not (revision.isascii() and revision.isdigit()) or len(revision) > 9:
        raise ClientException(f"{value[:256]!r} is not the ARN of a job definition's revision.")
    return NameFilter(text=name, revision=int(revision))


def _instant(values: list[str]) -> datetime:
    text = values[0]
    if len(values) != 1 or not (text.isascii() and text.isdigit()) or len(text) > 14:
        raise ClientException("The filter takes one value: milliseconds since 1970-01-01T00:00:00Z.")
    return datetime.fromtimestamp(int(text) / 1000, UTC)
