"""Dispatch: which RUNNABLE jobs go to which compute environment now, and why the others wait.

Queues with a higher priority go first, and jobs within a queue in the order of their submission. A job that waits
for room holds its environments for itself, so smaller jobs behind it cannot starve it; a job that no environment
could ever hold blocks nobody.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scheduler.queueing.world import ComputeEnvironment, Job, Queue


class Hold(StrEnum):
    """Why a job stays RUNNABLE."""

    NO_ENVIRONMENT = "no usable compute environment"
    TOO_LARGE = "asks for more than maxvCpus"
    CAPACITY = "compute environments are full"
    BEHIND = "behind a job that waits for room"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """The job's id and the id of the environment it goes to."""

    job: str
    compute_environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The job stays RUNNABLE; ``because`` is for people."""

    job: str
    hold: Hold
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchPlan:
    """One result per job, in the order they were considered."""

    results: tuple[Dispatch | Held, ...]

    @property
    def dispatched(self) -> tuple[Dispatch, ...]:
        """The jobs that run now."""
        return tuple(result for result in self.results if isinstance(result, Dispatch))

    @property
    def held(self) -> tuple[Held, ...]:
        """The jobs that stay RUNNABLE."""
        return tuple(result for result in self.results if isinstance(result, Held))

    def reasons(self) -> dict[str, int]:
        """How many jobs wait for each reason."""
        return dict(Counter(held.hold.value for held in self.held))

    def text(self) -> str:
        """``compute environments are full: 3; asks for more than maxvCpus: 1``."""
        return "; ".join(f"{reason}: {count}" for reason, count in self.reasons().items())


def order(queues: Iterable[Queue], jobs: Iterable[Job]) -> list[Job]:
    """Jobs of the given queues: higher queue priority first, then first in, first out; array children by index."""
    priorities = {queue.id: queue.priority for queue in queues}
    known = [job for job in jobs if job.queue in priorities]
    return sorted(
        known,
        key=lambda job: (
            -priorities[job.queue],
            job.created_at,
            job.id.rsplit(":", 1)[0],
            job.index or 0,
            job.id,
        ),
    )


def dispatch(queues: Sequence[Queue], jobs: Iterable[Job], environments: Iterable[ComputeEnvironment]) -> DispatchPlan:
    """Decide every job of ``jobs``, all of them RUNNABLE. No environment is filled beyond its ``max_cpu``."""
    by_id = {environment.id: environment for environment in environments}
    free = {
        environment.id: None if environment.max_cpu is None else environment.max_cpu - environment.used_cpu
        for environment in by_id.values()
    }
    usable = {
        queue.id: tuple(by_id[name] for name in queue.compute_environments if _open(by_id.get(name)))
        for queue in queues
    }
    reserved: dict[str, Job] = {}
    return DispatchPlan(results=tuple(_decide(job, usable[job.queue], free, reserved) for job in order(queues, jobs)))


def _open(environment: ComputeEnvironment | None) -> bool:
    return environment is not None and environment.state == "ENABLED" and environment.status == "VALID"


def _decide(
    job: Job,
    environments: Sequence[ComputeEnvironment],
    free: dict[str, int | None],
    reserved: dict[str, Job],
) -> Dispatch | Held:
    if not environments:
        because = f"queue {job.queue} has no compute environment that is ENABLED and VALID"
        return Held(job=job.id, hold=Hold.NO_ENVIRONMENT, because=because)
    large_enough = [one for one in environments if one.max_cpu is None or one.max_cpu >= job.cpu]
    if not large_enough:
        most = max(one.max_cpu or 0 for one in environments)
        because = f"{_vcpus(job.cpu)} vCPU asked, maxvCpus is {_vcpus(most)}"
        return Held(job=job.id, hold=Hold.TOO_LARGE, because=because)
    for environment in large_enough:
        left = free[environment.id]
        if environment.id in reserved or (left is not None and left < job.cpu):
            continue
        if left is not None:
            free[environment.id] = left - job.cpu
        return Dispatch(job=job.id, compute_environment=environment.id)
    waits_behind = all(one.id in reserved for one in large_enough)
    for one in large_enough:
        reserved.setdefault(one.id, job)
    room = ", ".join(f"{one.id} has {_vcpus(free[one.id] or 0)} vCPU free" for one in large_enough)
    because = f"{_vcpus(job.cpu)} vCPU asked, {room}"
    if not waits_behind:
        return Held(job=job.id, hold=Hold.CAPACITY, because=because)
    first = reserved[large_enough[0].id]
    return Held(job=job.id, hold=Hold.BEHIND, because=f"job {first.id} asks for {_vcpus(first.cpu)} vCPU; {because}")


def _vcpus(units: int) -> str:
    return f"{units / 1024:g}"
