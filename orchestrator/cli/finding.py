"""What a person means: a task, a job or a service, found by an ARN, an id, its ending, or a name."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from botocore.exceptions import ClientError

from orchestrator.cli.asking import chunks, clusters_of, last_part, pages
from orchestrator.cli.output import CommandFailed

SHOW = "berth status shows what there is"
UNENDED = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
ENDED = ("SUCCEEDED", "FAILED")
MOST_LOOKED_THROUGH = 20_000
LEAST_ENDING = 4

_ID = re.compile(r"[0-9a-f]{32}")
_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(:\d+)?")
_ENDING = re.compile(r"[0-9a-f-]+(:\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One task, service or job as the API describes it; jobs are in no cluster of their own."""

    kind: Literal["task", "service", "job"]
    cluster: str
    said: Mapping[str, Any]


def find(ecs: Any, batch: Any, reference: str) -> Found:
    """The one thing that is meant; raises CommandFailed when there is none or more than one."""
    if reference.startswith("arn:"):
        return _by_arn(ecs, batch, reference)
    if _JOB_ID.fullmatch(reference):
        return _job(batch, reference)
    if _ID.fullmatch(reference):
        for cluster in clusters_of(ecs):
            for task in _described_tasks(ecs, cluster, [reference]):
                return Found(kind="task", cluster=cluster, said=task)
        raise CommandFailed(f"there is no task {reference}; one that stopped long ago is forgotten; {SHOW}")
    cluster, slash, name = reference.rpartition("/")
    if slash:
        return _in_cluster(ecs, cluster, name, reference)
    return _by_name(ecs, batch, reference)


def _by_arn(ecs: Any, batch: Any, arn: str) -> Found:
    _, _, service, _, _, resource, *_ = [*arn.split(":", 5), "", "", "", ""]
    noun, _, rest = resource.partition("/")
    cluster, _, name = rest.rpartition("/")
    match service, noun:
        case "batch", "job":
            return _job(batch, rest)
        case "ecs", "task" if cluster:
            for task in _described_tasks(ecs, cluster, [arn]):
                return Found(kind="task", cluster=cluster, said=task)
            raise CommandFailed(f"there is no task {arn}; one that stopped long ago is forgotten; {SHOW}")
        case "ecs", "service" if cluster:
            for found in _described_services(ecs, cluster, name):
                return found
            raise CommandFailed(f"there is no service {arn}; {SHOW}")
        case _:
            raise CommandFailed(f"{arn} is the ARN of no task, service or job; {SHOW}")


def _in_cluster(ecs: Any, cluster: str, name: str, reference: str) -> Found:
    if cluster not in clusters_of(ecs):
        raise CommandFailed(f"there is no cluster {cluster}; clusters are: {', '.join(clusters_of(ecs)) or 'none'}")
    return _one([*_described_services(ecs, cluster, name), *_tasks_ending(ecs, cluster, name)], reference)


def _by_name(ecs: Any, batch: Any, name: str) -> Found:
    found: list[Found] = []
    for cluster in clusters_of(ecs):
        found += _described_services(ecs, cluster, name)
        found += _tasks_ending(ecs, cluster, name)
    queues = [queue["jobQueueName"] for queue in pages(batch, "describe_job_queues", "jobQueues")]
    found += _jobs_named(batch, queues, name) or _jobs_ending(batch, queues, name)
    return _one(found, name)


def _one(found: Sequence[Found], reference: str) -> Found:
    if len(found) == 1:
        return found[0]
    if not found:
        raise CommandFailed(f"nothing is called {reference}: no service, no job, no task whose id ends so; {SHOW}")
    names = [one.said.get("taskArn") or one.said.get("serviceArn") or one.said["jobArn"] for one in found]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    raise CommandFailed(f"{reference} could be {', '.join(names[:5])}{more}; say which by its ARN or more of its id")


def _described_services(ecs: Any, cluster: str, name: str) -> list[Found]:
    try:
        said = ecs.describe_services(cluster=cluster, services=[name])["services"]
    except ClientError as error:
        _unless_unknown(error)
        return []
    return [Found(kind="service", cluster=cluster, said=service) for service in said]


def _described_tasks(ecs: Any, cluster: str, names: Sequence[str]) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = ecs.describe_tasks(cluster=cluster, tasks=names)["tasks"]
    except ClientError as error:
        _unless_unknown(error)
        return []
    return found


def _unless_unknown(error: ClientError) -> None:
    """Pass over that a name is none, and raise all else."""
    if error.response["Error"]["Code"] not in ("InvalidParameterException", "ClusterNotFoundException"):
        raise error


def _tasks_ending(ecs: Any, cluster: str, ending: str) -> list[Found]:
    if not _is_ending(ending):
        return []
    arns = (
        arn
        for status in ("RUNNING", "STOPPED")
        for arn in _bounded(pages(ecs, "list_tasks", "taskArns", cluster=cluster, desiredStatus=status), "tasks")
    )
    matching = [arn for arn in arns if last_part(arn).endswith(ending)]
    return [
        Found(kind="task", cluster=cluster, said=task)
        for chunk in chunks(matching)
        for task in _described_tasks(ecs, cluster, chunk)
    ]


def _jobs_named(batch: Any, queues: Sequence[str], name: str) -> list[Found]:
    """Jobs of that name that have not ended; when all have, the latest."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name):
        return []
    named = [{"name": "JOB_NAME", "values": [name]}]
    jobs = [
        job
        for queue in queues
        for job in _bounded(pages(batch, "list_jobs", "jobSummaryList", jobQueue=queue, filters=named), "jobs")
        # A name of the filter's may end in an asterisk; jobs' names cannot.
        if job["jobName"] == name
    ]
    unended = [job for job in jobs if job["status"] not in ENDED]
    return [_job(batch, job["jobId"]) for job in unended or sorted(jobs, key=lambda job: job["createdAt"])[-1:]]


def _jobs_ending(batch: Any, queues: Sequence[str], ending: str) -> list[Found]:
    if not _is_ending(ending):
        return []
    stem, _, index = ending.partition(":")
    ids = {
        job["jobId"]
        for queue in queues
        for status in (*UNENDED, *ENDED)
        for job in _bounded(pages(batch, "list_jobs", "jobSummaryList", jobQueue=queue, jobStatus=status), "jobs")
        if job["jobId"].endswith(stem)
    }
    return [_job(batch, f"{job_id}:{index}" if index else job_id) for job_id in sorted(ids)]


def _is_ending(text: str) -> bool:
    return len(text) >= LEAST_ENDING and _ENDING.fullmatch(text) is not None


def _bounded(items: Iterator[Any], what: str) -> Iterator[Any]:
    """The items; raises CommandFailed rather than look through more than a person would wait for."""
    yield from islice(items, MOST_LOOKED_THROUGH)
    if next(items, None) is not None:
        raise CommandFailed(f"there are more than {MOST_LOOKED_THROUGH:,} {what} to look through; give the whole ARN")


def _job(batch: Any, job_id: str) -> Found:
    jobs = batch.describe_jobs(jobs=[job_id])["jobs"]
    if not jobs:
        raise CommandFailed(f"there is no job {job_id}; one that ended long ago is forgotten; {SHOW}")
    return Found(kind="job", cluster="", said=jobs[0])
