"""The jobs loop: moves every Batch job that is due, from SUBMITTED to its end.

Level-triggered and set-based: each step reads, in bounded chunks, what is due now; records it in one transaction;
and asks to be woken again while there is more. A job becomes a task in the transaction of its move to STARTING.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kit.clock import Clock
from kit.ids import Arns
from kit.settings import Settings
from scheduler.ending import hold_for_stop
from scheduler.fleets import Fleets
from scheduler.jobs import environments as look
from scheduler.jobs.admission import Settled, admit, awaited, settle
from scheduler.jobs.following import follow, stop_attempt
from scheduler.jobs.moves import Move, make_moves
from scheduler.jobs.starting import Board, start_jobs, submission_of
from scheduler.queueing import (
    ARRAY_CHILD_FAILED,
    TIMED_OUT,
    DispatchPlan,
    Queue,
    Status,
    dispatch,
    parent_status,
)
from scheduler.queueing import Job as Seen
from state import job_work as work
from state.clusters import lock_cluster
from state.compute_environments import ComputeEnvironment, list_compute_environments
from state.container_instances import hold_fleets
from state.job_lists import tasks_of
from state.job_queues import JobQueue, list_job_queues
from state.jobs import FINISHED, Job, count_children, release_arrays
from state.loop import Leases, Loop
from state.store import Session, Store
from state.tasks import hold_tasks

# Jobs of one kind that one step handles; and jobs that it starts.
CHUNK = 1000
MOST_STARTED = 100
WINDOW = 100
ARRAY_SUCCEEDED = "Array Child Jobs succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What one look found."""

    submitted: Sequence[work.Submitted]
    waiting: Sequence[work.Waiting]
    statuses: Mapping[str, str]
    asked: Sequence[work.Asked]
    news: Sequence[str]
    out_of_time: Sequence[str]
    overdue: Sequence[tuple[str, str]]
    arrays: Mapping[str, Mapping[str, int]]
    runnable: Sequence[work.Runnable]
    queues: Sequence[JobQueue]
    environments: Sequence[ComputeEnvironment]
    used: Mapping[str, int]
    next_timeout: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one step does."""

    moves: Sequence[Move]
    settled: Settled
    stops: Sequence[tuple[str, str]]
    news: Sequence[str]
    arrays: Sequence[str]
    dispatch: DispatchPlan
    due: Due


class JobsLoop(Loop):
    """Takes Batch's jobs from SUBMITTED to their end."""

    name = "jobs"
    every = timedelta(seconds=5)

    def __init__(
        self,
        store: Store,
        clock: Clock,
        leases: Leases,
        *,
        settings: Settings,
        seed: int = 0,
        fleets: Fleets | None = None,
    ) -> None:
        super().__init__(store, clock, leases)
        self.settings = settings
        self._arns = Arns(settings.account, settings.region)
        self._fleets = fleets or Fleets()
        self._chance = random.Random(seed)  # noqa: S311

    def observe(self, session: Session, now: datetime) -> Due:
        waiting = [*work.settled_jobs(session, CHUNK), *work.settled_children(session, CHUNK)]
        queues = list_job_queues(session)
        return Due(
            submitted=work.submitted_jobs(session, CHUNK),
            waiting=waiting,
            statuses=work.job_statuses(session, awaited(waiting)),
            asked=work.jobs_asked_to_stop(session, CHUNK),
            news=work.jobs_with_news(session, CHUNK),
            out_of_time=work.jobs_out_of_time(session, now, CHUNK),
            overdue=_overdue(session, queues, now),
            arrays=count_children(session, work.finished_arrays(session, CHUNK)),
            runnable=work.first_runnable(session, WINDOW),
            queues=queues,
            environments=list_compute_environments(session),
            used=work.used_cpu(session),
            next_timeout=work.next_timeout(session, now),
        )

    def decide(self, seen: Due, now: datetime) -> Plan | None:
        stops = [(one.id, one.because) for one in seen.asked if one.status in work.UNDER_WAY]
        plan = Plan(
            moves=[*_endings(seen), *admit(seen.submitted)],
            settled=settle(seen.waiting, seen.statuses),
            stops=[*stops, *((job_id, TIMED_OUT) for job_id in seen.out_of_time)],
            news=seen.news,
            arrays=list(seen.arrays),
            dispatch=_dispatch(seen),
            due=seen,
        )
        settled = plan.settled.moves or plan.settled.arrays
        busy = plan.moves or settled or plan.stops or plan.news or plan.arrays or plan.dispatch.results
        return plan if busy else None

    def record(self, session: Session, plan: Plan, now: datetime) -> None:
        moved = make_moves(session, plan.moves, now=now)
        moved += make_moves(session, plan.settled.moves, now=now)
        for reason, arrays in plan.settled.arrays.items():
            release_arrays(session, arrays, reason)
            moved += len(arrays)
        _hold(session, plan)
        _stop(session, plan, now=now)
        moved += self._follow(session, plan.news, now=now)
        moved += _finish_arrays(session, plan.arrays, now=now)
        moved += self._start(session, plan, now=now)
        if moved:
            # What moved may have made more due: jobs that depend on it, room that is free again, the next chunk.
            session.wake("jobs", *_concerned(plan.due))

    def next_look(self, seen: Due, now: datetime) -> datetime | None:
        return seen.next_timeout

    def _follow(self, session: Session, job_ids: Sequence[str], *, now: datetime) -> int:
        jobs = work.lock_jobs(session, job_ids, work.UNDER_WAY)
        tasks = tasks_of(session, jobs.values())
        followed = [follow(job, tasks.get(job.task_id or ""), now=now, arns=self._arns) for job in jobs.values()]
        session.flush()
        return sum(followed)

    def _start(self, session: Session, plan: Plan, *, now: datetime) -> int:
        seen = plan.due
        left = _left(seen)
        jobs = {job.id: job for job in seen.runnable}
        for one in plan.dispatch.dispatched:
            room = left[one.compute_environment]
            left[one.compute_environment] = None if room is None else room - jobs[one.job].cpu
        usable = {environment.name: environment for environment in seen.environments if environment.usable}
        orders = {queue.name: [name for name in queue.environments if name in usable] for queue in seen.queues}
        return start_jobs(
            session,
            plan.dispatch,
            jobs,
            Board(
                environments=usable,
                orders=orders,
                priorities={queue.name: queue.priority for queue in seen.queues},
                left=left,
                fleets=self._fleets,
            ),
            now=now,
            seed=self._chance.getrandbits(32),
            settings=self.settings,
            limit=MOST_STARTED,
        )


def _concerned(seen: Due) -> list[str]:
    """The loops that care how jobs move: where hosts come and go with them, or their end is waited for."""
    scaled = any(one.kind == "EC2" or one.status == "DELETING" for one in seen.environments)
    deleting = any(queue.status == "DELETING" for queue in seen.queues)
    return [*(["compute_environments"] if scaled else []), *(["job_queues"] if deleting else [])]


def _overdue(session: Session, queues: Sequence[JobQueue], now: datetime) -> list[tuple[str, str]]:
    return [
        (job_id, action["reason"])
        for queue in queues
        for action in queue.job_state_time_limit_actions
        for job_id in work.overdue_runnable(
            session, queue.name, action["reason"], now - timedelta(seconds=action["maxTimeSeconds"]), CHUNK
        )
    ]


def _endings(seen: Due) -> list[Move]:
    """Jobs that have not started and never will: somebody said so, or their queue waits no longer."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in seen.asked:
        if one.status not in work.UNDER_WAY:
            groups[one.status, one.because].append(one.id)
    for job_id, reason in seen.overdue:
        groups["RUNNABLE", f"Job cancelled by its queue: {reason}"].append(job_id)
    return [Move(ids=ids, before=before, after="FAILED", because=because) for (before, because), ids in groups.items()]


def _dispatch(seen: Due) -> DispatchPlan:
    """Queues being deleted start nothing; their jobs are terminated."""
    queues = [
        Queue(id=queue.name, priority=queue.priority, compute_environments=queue.environments)
        for queue in seen.queues
        if queue.status != "DELETING"
    ]
    jobs = [
        Seen(id=job.id, queue=job.queue, cpu=job.cpu, memory=job.memory, created_at=job.created_at, index=job.index)
        for job in seen.runnable
    ]
    return dispatch(queues, jobs, look.see(seen.environments, seen.used))


def _left(seen: Due) -> dict[str, int | None]:
    left: dict[str, int | None] = {}
    for environment in seen.environments:
        bound = look.max_cpu(environment)
        left[environment.name] = None if bound is None else bound - seen.used.get(environment.name, 0)
    return left


def _hold(session: Session, plan: Plan) -> None:
    """Hold first what several parts of the plan hold: of the clusters, tasks and hosts, starting holds the first and
    the last, stopping the others, and each submission that is started holds hosts of its own."""
    submissions = {submission_of(one.job) for one in plan.dispatch.dispatched}
    if len(submissions) + bool(plan.stops) < 2 or not submissions:
        return
    clusters = sorted({environment.cluster for environment in plan.due.environments})
    for cluster in clusters:
        lock_cluster(session, cluster)
    jobs = work.lock_jobs(session, [job_id for job_id, _ in plan.stops], work.UNDER_WAY)
    hold_tasks(session, [job.task_id for job in jobs.values() if job.task_id])
    hold_fleets(session, clusters)


def _stop(session: Session, plan: Plan, *, now: datetime) -> None:
    """Ask the tasks of jobs under way to stop, for the first reason that is given for each."""
    if not plan.stops:
        return
    jobs = work.lock_jobs(session, [job_id for job_id, _ in plan.stops], work.UNDER_WAY)
    tasks = tasks_of(session, jobs.values())
    hold_for_stop(session, tasks.values())
    for job_id, reason in plan.stops:
        task = tasks.get(jobs[job_id].task_id or "") if job_id in jobs else None
        if task is not None:
            stop_attempt(session, task, now=now, because=reason)


def _finish_arrays(session: Session, parents: Sequence[str], *, now: datetime) -> int:
    """End the parents whose children have all finished; counted again here, where nothing moves any more."""
    finished = 0
    for parent_id, counts in count_children(session, parents).items():
        status = parent_status(counts)
        parent = session.get(Job, parent_id, with_for_update=True)
        if parent is None or status not in (Status.SUCCEEDED, Status.FAILED) or parent.status in FINISHED:
            continue
        if status is Status.SUCCEEDED and parent.status == "SUBMITTED":
            parent.advance("PENDING", at=now, because="its children have started")
        because = ARRAY_SUCCEEDED if status is Status.SUCCEEDED else _why_failed(parent)
        parent.advance(status.value, at=now, because=because)
        parent.status_reason = None if status is Status.SUCCEEDED else because
        parent.started_at, parent.stopped_at = work.span_of_children(session, parent_id)
        parent.stopped_at = parent.stopped_at or now
        finished += 1
    return finished


def _why_failed(parent: Job) -> str:
    return parent.stop_reason or parent.status_reason or ARRAY_CHILD_FAILED
