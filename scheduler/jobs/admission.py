"""Admission: from SUBMITTED by way of PENDING to RUNNABLE, or to FAILED with a dependency. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.jobs.moves import Move
from scheduler.queueing import Dependency, Doomed, Ready, decide_dependencies, waits_for
from scheduler.queueing import Waiting as StillWaiting
from state.job_work import Submitted, Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What follows from dependencies that have finished: moves, and arrays that hold their children back no more
    (by reason: None, or why all of their children fail)."""

    moves: Sequence[Move]
    arrays: Mapping[str | None, Sequence[str]]


def admit(submitted: Iterable[Submitted]) -> list[Move]:
    """Jobs that wait for nothing are RUNNABLE at once; arrays' parents wait for their children."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for job in submitted:
        if job.is_array:
            groups["PENDING", "waits for its array's children"].append(job.id)
        elif job.waits:
            groups["PENDING", "waits for the jobs it depends on"].append(job.id)
        else:
            groups["RUNNABLE", "depends on no other job"].append(job.id)
    return [Move(ids=ids, before="SUBMITTED", after=after, because=because) for (after, because), ids in groups.items()]


def awaited(waiting: Iterable[Waiting]) -> set[str]:
    """Ids of all jobs that these wait for."""
    return {other for job in waiting for other in waits_for(job.id, _read(job.depends_on), index=job.index)}


def settle(waiting: Iterable[Waiting], statuses: Mapping[str, str]) -> Settled:
    """Decide jobs whose dependencies may be settled; ``statuses`` holds those of ``awaited``."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    arrays: dict[str | None, list[str]] = defaultdict(list)
    for job in waiting:
        match decide_dependencies(job.id, _read(job.depends_on), statuses, index=job.index):
            case Ready() if job.is_array:
                arrays[None].append(job.id)
            case Doomed(because=because) if job.is_array:
                arrays[because].append(job.id)
            case Ready():
                groups["RUNNABLE", "the jobs it depends on have succeeded"].append(job.id)
            case Doomed(because=because):
                groups["FAILED", because].append(job.id)
            case StillWaiting():
                continue
    moves = [Move(ids=ids, before="PENDING", after=after, because=because) for (after, because), ids in groups.items()]
    return Settled(moves=moves, arrays=arrays)


def _read(depends_on: Sequence[Mapping[str, Any]]) -> list[Dependency]:
    return [Dependency(job_id=entry.get("jobId") or None, type=entry.get("type") or None) for entry in depends_on]
