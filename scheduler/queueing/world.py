"""What Batch queueing is told: jobs, queues and compute environments as the store saw them.

Frozen values only. CPU is in units of 1/1024 vCPU, memory in MiB. Statuses are Batch's own words.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    """The states of a Batch job, in their order."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


FINISHED = frozenset({Status.SUCCEEDED, Status.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One entry of ``dependsOn``: a job id, or ``SEQUENTIAL`` without one, or ``N_TO_N`` with one."""

    job_id: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job that can run by itself: a plain job or a child of an array. Array parents are never dispatched."""

    id: str
    queue: str
    cpu: int
    memory: int
    created_at: datetime
    index: int | None = None
    """Its index within the array; None for a plain job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A job queue: jobs of queues with a higher priority go first; environments are tried in their order.

    A disabled queue takes no new jobs, but what is already in it still runs.
    """

    id: str
    priority: int
    compute_environments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeEnvironment:
    """Where jobs run: ``max_cpu`` is maxvCpus in CPU units (None for unmanaged), ``used_cpu`` what runs or starts."""

    id: str
    max_cpu: int | None
    used_cpu: int = 0
    state: str = "ENABLED"
    status: str = "VALID"
