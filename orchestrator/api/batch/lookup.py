"""Finding Batch's nouns by what callers write, a name or an ARN, and writing their ARNs.

Every ``find_`` answers the entity or raises ClientException. ARNs of another account or region name nothing here.
"""

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.api.batch.errors import ClientException, NotBuiltYet
from orchestrator.call import Call
from state.compute_environments import ComputeEnvironment, get_compute_environment
from state.job_definitions import JobDefinition, get_job_definition
from state.job_queues import JobQueue, get_job_queue
from state.jobs import Job, get_job

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
LAST_REVISION = 2**31 - 1
MOST_TAGS = 50


def check_name(name: str | None, member: str) -> str:
    """A name as all of Batch's nouns have it; raises ClientException."""
    if not name:
        raise ClientException(f"{member} must be specified.")
    if _NAME.fullmatch(name) is None:
        raise ClientException(
            f"{member} must match [a-zA-Z0-9][a-zA-Z0-9_-]{{0,127}}: up to 128 letters, numbers, hyphens and "
            f"underscores, not {name[:140]!r}."
        )
    return name


def own_name(call: Call, ref: str, kind: str) -> str | None:
    """The name in a name or in an ARN of this account and region; None for an ARN of anything else."""
    if not ref.startswith("arn:"):
        return ref
    resource = call.arns.own("batch", ref)
    return resource[len(kind) + 1 :] if resource and resource.startswith(f"{kind}/") else None


def compute_environment_arn(call: Call, name: str) -> str:
    return call.arns.of("batch", f"compute-environment/{name}")


def job_queue_arn(call: Call, name: str) -> str:
    return call.arns.of("batch", f"job-queue/{name}")


def job_definition_arn(call: Call, name: str, revision: int) -> str:
    return call.arns.of("batch", f"job-definition/{name}:{revision}")


def job_arn(call: Call, job_id: str) -> str:
    return call.arns.of("batch", f"job/{job_id}")


def find_compute_environment(call: Call, ref: str, *, lock: bool = False) -> ComputeEnvironment:
    """The environment of that name or ARN; with ``lock``, held until the transaction ends."""
    name = own_name(call, ref, "compute-environment")
    found = get_compute_environment(call.session, name, lock=lock) if name else None
    if found is None:
        raise ClientException(f"{ref} does not exist")
    return found


def find_job_queue(call: Call, ref: str, *, lock: bool = False) -> JobQueue:
    """The queue of that name or ARN; with ``lock``, held until the transaction ends."""
    name = own_name(call, ref, "job-queue")
    found = get_job_queue(call.session, name, lock=lock) if name else None
    if found is None:
        raise ClientException(f"JobQueue {ref} not found.")
    return found


def find_job(call: Call, ref: str, *, lock: bool = False) -> Job:
    """The job of that id or ARN."""
    job_id = own_name(call, ref, "job")
    found = get_job(call.session, job_id, lock=lock) if job_id else None
    if found is None:
        raise ClientException(f"Job {ref} not found.")
    return found


def find_job_definition(call: Call, ref: str, *, active: bool = False) -> JobDefinition:
    """The revision named by a name (its newest ACTIVE one), ``name:revision`` or an ARN of either kind."""
    found = get_job_definition(call.session, *job_definition_name(call, ref))
    if found is None:
        raise ClientException(f"JobDefinition {ref} not found.")
    if active and found.status != "ACTIVE":
        raise ClientException(f"JobDefinition {ref} is not in ACTIVE status.")
    return found


def job_definition_name(call: Call, ref: str) -> tuple[str, int | None]:
    """The name and the revision, if any, that the text names; raises ClientException."""
    text = own_name(call, ref, "job-definition")
    if not text:
        raise ClientException(f"JobDefinition {ref} not found.")
    name, colon, revision = text.partition(":")
    if not colon:
        return name, None
    if len(revision) > 10 or not (revision.isascii() and revision.isdigit()) or not 0 < int(revision) <= LAST_REVISION:
        raise ClientException(f"JobDefinition {ref} not found: {revision!r} is not a revision.")
    return name, int(revision)


def refuse(request: Mapping[str, Any], member: str, what: str) -> None:
    """Raise NotBuiltYet when the request carries the member with anything in it."""
    if request.get(member):
        raise NotBuiltYet(what)


def tags_of(request: Mapping[str, Any]) -> dict[str, str]:
    """The request's tags, checked; raises ClientException."""
    tags = {str(key): str(value or "") for key, value in (request.get("tags") or {}).items()}
    check_tags(tags)
    return tags


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise ClientException unless the tags can stand together on one resource."""
    if len(tags) > MOST_TAGS:
        raise ClientException(f"A resource can have at most {MOST_TAGS} tags, not {len(tags)}.")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise ClientException("Tag keys have 1 to 128 characters and tag values at most 256.")
        if key.lower().startswith("aws:"):
            raise ClientException("Tag keys cannot start with 'aws:', which is reserved for AWS use.")
