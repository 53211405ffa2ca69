"""Lining up: in which order the jobs of one priority are tried, and who of them has been overtaken.

On hosts that jobs share, those go first that fill the hosts best (``scheduler.placement.packing``), whatever the order
of the queue; a job that has been overtaken too often holds the room until it has got its own. Jobs of one size, and
jobs on Fargate, keep the order of the queue.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.fleets import Fleets
from scheduler.placement.packing import PATIENCE, Queued, overtaken, pack_queue
from scheduler.queueing import Dispatch
from state.compute_environments import ComputeEnvironment
from state.job_work import Runnable
from state.store import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One job's turn. When it is refused and ``insists``, nobody behind it may take what it waits for; one that does
    not insist has been let past others."""

    job: str
    environment: str
    insists: bool


def line_up(
    session: Session,
    line: Sequence[Dispatch],
    window: Mapping[str, Runnable],
    environments: Mapping[str, ComputeEnvironment],
    fleets: Fleets | None,
) -> list[Turn]:
    """Every job of the line, which is in the order of the queue: first those that are thought to find room, then the
    others."""
    by_environment: dict[str, list[str]] = defaultdict(list)
    for one in line:
        by_environment[one.compute_environment].append(one.job)
    going: list[Turn] = []
    staying: list[Turn] = []
    for name, ids in by_environment.items():
        jobs = [window[job_id] for job_id in ids]
        if environments[name].kind == "FARGATE" or len({_size(job) for job in jobs}) == 1:
            going += [Turn(job=job_id, environment=name, insists=True) for job_id in ids]
            continue
        placed, left = _pack(session, jobs, environments[name].cluster, fleets)
        late = {job.id for job in jobs if job.bypassed >= PATIENCE}
        going += [Turn(job=job_id, environment=name, insists=job_id in late) for job_id in placed]
        staying += [Turn(job=job_id, environment=name, insists=True) for job_id in left]
    return going + staying


def bypassed(line: Iterable[Dispatch], window: Mapping[str, Runnable], started: Collection[str]) -> dict[str, int]:
    """How many later jobs were started before each that still waits; of jobs of one size the first is counted, for the
    others wait for it. Environments are looked at one by one, since a job overtakes only on hosts that both want."""
    by_environment: dict[str, list[str]] = defaultdict(list)
    for one in line:
        by_environment[one.compute_environment].append(one.job)
    found: dict[str, int] = {}
    for ids in by_environment.values():
        known: set[tuple[object, ...]] = set()
        counts = overtaken(ids, started)
        for job_id in ids:
            kind = (window[job_id].queue, *_size(window[job_id]))
            if job_id not in started and kind not in known:
                known.add(kind)
                if job_id in counts:
                    found[job_id] = counts[job_id]
    return found


def _pack(
    session: Session, jobs: Sequence[Runnable], cluster: str, fleets: Fleets | None
) -> tuple[Sequence[str], Sequence[str]]:
    """The jobs in the order in which they fill the cluster's hosts, and those that find no room, whoever holds it
    first."""
    queued = [Queued(id=job.id, cpu=job.cpu, memory=job.memory, overtaken=job.bypassed) for job in jobs]
    with (fleets or Fleets()).view(session, cluster, addresses=False) as view:
        columns = view.fleet.columns
        hosts = np.flatnonzero(columns.open)
        packed = pack_queue(
            queued, columns.cpu[hosts], columns.memory[hosts], columns.per_cpu[hosts], columns.per_memory[hosts]
        )
    holder = [packed.holds] if packed.holds is not None else []
    others = [job_id for job_id in packed.left if job_id != packed.holds]
    return [job_id for job_id, _ in packed.placed], [*holder, *others]


def _size(job: Runnable) -> tuple[int, int, int]:
    return job.cpu, job.memory, job.gpus
