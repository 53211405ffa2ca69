"""Starting: RUNNABLE jobs become ECS tasks, each in the same transaction as its move to STARTING, so never twice.

``scheduler.queueing.dispatch`` says which environment a job goes to, ``lining`` who goes first of those with one
priority; here placement has its say, and a job that the environment's hosts refuse tries the next one of its queue or
stays RUNNABLE with the reason.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from kit.fargate import PLATFORM_VERSION
from kit.settings import Settings
from scheduler.fleets import Fleets
from scheduler.jobs.environments import Room, can_grow, could_hold
from scheduler.jobs.lining import Turn, bypassed, line_up
from scheduler.jobs.task_definitions import CONTAINER, find_or_register
from scheduler.launch import Launch, TaskExtra, launch_tasks
from scheduler.placement import BadSize
from scheduler.queueing import Dispatch, DispatchPlan, Held, Hold, substitute
from state.compute_environments import ComputeEnvironment
from state.job_work import Runnable, lock_jobs
from state.jobs import Job, Submission, count_bypassed, hold_jobs
from state.store import Session

# AWS's words at the head of a held job's statusReason; jobStateTimeLimitActions go by them.
INSUFFICIENT = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
TOO_LARGE = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
UNFIT = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
# Hosts that jobs share are filled one after another, so that the others stay empty and may be let go.
PACKED = ({"type": "binpack", "field": "cpu+memory"},)


@dataclass(slots=True, kw_only=True)
class Board:
    """What one step knows while it starts jobs."""

    environments: Mapping[str, ComputeEnvironment]
    # The environments of each queue that jobs may be started on, in order.
    orders: Mapping[str, Sequence[str]]
    priorities: Mapping[str, int]
    # CPU units left under maxvCpus once everything the plan dispatched is started; None where there is no bound.
    left: dict[str, int | None]
    # Environments that the first job in line waits for, and that job: nobody behind it may take what it waits for.
    blocked: dict[str, Job] = field(default_factory=dict)
    # The same for those with less priority only: who waits there has been let past.
    yielding: dict[str, Job] = field(default_factory=dict)
    # Why jobs stay RUNNABLE, by reason.
    held: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    started: set[str] = field(default_factory=set)
    fleets: Fleets | None = None


def start_jobs(
    session: Session,
    plan: DispatchPlan,
    window: Mapping[str, Runnable],
    board: Board,
    *,
    now: datetime,
    seed: int,
    settings: Settings,
    limit: int,
) -> int:
    """Start what the plan dispatches and placement allows, ``limit`` jobs at most; write why the others wait.

    Answers how many were started.
    """
    for held in plan.held:
        board.held[_words(held)].append(held.job)
    for _, same in groupby(plan.dispatched, key=lambda one: board.priorities[window[one.job].queue]):
        line = list(same)
        _start_line(session, line, window, board, now=now, seed=seed, settings=settings, limit=limit)
        count_bypassed(session, bypassed(line, window, board.started))
        board.blocked = board.yielding | board.blocked
    for reason, ids in board.held.items():
        news = [job_id for job_id in ids if job_id not in window or window[job_id].status_reason != reason]
        hold_jobs(session, news, reason)
    return len(board.started)


def _start_line(
    session: Session,
    line: Sequence[Dispatch],
    window: Mapping[str, Runnable],
    board: Board,
    *,
    now: datetime,
    seed: int,
    settings: Settings,
    limit: int,
) -> None:
    """Start jobs of one priority."""

    def alike(turn: Turn) -> tuple[str, str, bool]:
        return submission_of(turn.job), turn.environment, turn.insists

    for (_, name, insists), group in groupby(line_up(session, line, window, board.environments, board.fleets), alike):
        ids = [turn.job for turn in group]
        names = _tried(board, window[ids[0]].queue, name)
        room = limit - len(board.started)
        if all(one in board.blocked for one in names):
            board.held[_behind(name, board.blocked[name])] += ids
        elif room > 0:
            found = lock_jobs(session, ids[:room], ("RUNNABLE",))
            jobs = [found[job_id] for job_id in ids if job_id in found and found[job_id].stop_asked_at is None]
            if jobs:
                _start(session, jobs, names, board, insists=insists, now=now, seed=seed, settings=settings)


def _start(
    session: Session,
    jobs: Sequence[Job],
    names: Sequence[str],
    board: Board,
    *,
    insists: bool,
    now: datetime,
    seed: int,
    settings: Settings,
) -> None:
    """Start jobs of one submission on the first of the environments that takes them."""
    waiting = list(jobs)
    reasons: list[str] = []
    for place, name in enumerate(names):
        if not waiting:
            return
        environment = board.environments[name]
        if name in board.blocked:
            reasons.append(_behind(name, board.blocked[name]))
            continue
        # The plan has counted the first environment's vCPUs already.
        fitting = len(waiting) if place == 0 else _fitting(board, name, waiting[0].cpu, len(waiting))
        if fitting == 0:
            reasons.append(_spent(name))
            continue
        tasks, refused = _launch(
            session, waiting[:fitting], environment, now=now, seed=seed, settings=settings, fleets=board.fleets
        )
        for job, task_id in zip(waiting, tasks, strict=False):
            _started(job, task_id, environment, now=now)
        board.started.update(job.id for job, _ in zip(waiting, tasks, strict=False))
        left = board.left[name]
        if place and left is not None:
            board.left[name] = left - len(tasks) * waiting[0].cpu
        waiting = waiting[len(tasks) :]
        if not waiting:
            return
        if not refused:
            reasons.append(_spent(name))
            continue
        room = could_hold(session, environment, waiting[0].cpu, waiting[0].memory, waiting[0].gpus)
        if room is Room.NEVER:
            launches_none = environment.kind == "EC2" and waiting[0].gpus
            reasons.append(f"{UNFIT} - {name}: {'the hosts it launches have no GPU' if launches_none else refused}")
            continue
        reasons.append(f"{INSUFFICIENT} - {name}: {refused}")
        (board.blocked if insists else board.yielding).setdefault(name, waiting[0])
        if can_grow(session, environment, waiting[0].cpu, waiting[0].memory, waiting[0].gpus):
            # New hosts are coming for it; the environments behind are for when this one is full.
            break
    for job in waiting:
        board.held[_best(reasons)].append(job.id)


def _launch(
    session: Session,
    jobs: Sequence[Job],
    environment: ComputeEnvironment,
    *,
    now: datetime,
    seed: int,
    settings: Settings,
    fleets: Fleets | None,
) -> tuple[Sequence[str], str]:
    """One task per job as far as there is room; and why not for the others."""
    first = jobs[0]
    submission = first.submission
    definition = find_or_register(session, submission, first, now=now, settings=settings)
    fargate = environment.kind == "FARGATE"
    launch = Launch(
        cluster=environment.cluster,
        task_definition=definition,
        launch_type="FARGATE" if fargate else "EC2",
        started_by=submission.id,
        platform_version=PLATFORM_VERSION if fargate else None,
        overrides=task_overrides(submission),
        network_configuration=_network(submission, environment) if fargate else None,
        strategy=() if fargate else PACKED,
        queued=True,
        tags=[{"key": key, "value": value} for key, value in submission.task_tags.items()],
        enable_execute_command=bool(submission.container.get("enableExecuteCommand")),
    )
    extras = [
        TaskExtra(job_id=f"{job.id}/{job.attempt + 1}", extra_environment=job_environment(job, environment))
        for job in jobs
    ]
    try:
        launched = launch_tasks(
            session, launch, len(jobs), now=now, seed=seed, settings=settings, fleets=fleets, extras=extras
        )
    except BadSize as bad:
        return (), str(bad)
    return launched.ids, launched.refused.text() if launched.refused else ""


def task_overrides(submission: Submission) -> dict[str, Any]:
    """The RunTask overrides of a job: its command with the parameters put in, and its environment."""
    container: dict[str, Any] = {"name": CONTAINER}
    if submission.container.get("command"):
        container["command"] = list(substitute(submission.parameters, submission.container["command"]))
    if submission.container.get("environment"):
        container["environment"] = [
            {"name": entry["name"], "value": entry.get("value", "")} for entry in submission.container["environment"]
        ]
    return {"containerOverrides": [container]}


def job_environment(job: Job, environment: ComputeEnvironment) -> dict[str, str]:
    """The variables that Batch itself sets. Source: Batch user guide, "AWS Batch job environment variables"."""
    variables = {
        "AWS_BATCH_JOB_ID": job.id,
        "AWS_BATCH_JQ_NAME": job.queue,
        "AWS_BATCH_CE_NAME": environment.name,
        "AWS_BATCH_JOB_ATTEMPT": str(job.attempt + 1),
        "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE" if environment.kind == "FARGATE" else "AWS_ECS_EC2",
    }
    if job.array_index is not None:
        variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.array_index)
        variables["AWS_BATCH_JOB_ARRAY_SIZE"] = str(job.submission.array_size)
    return variables


def _started(job: Job, task_id: str, environment: ComputeEnvironment, *, now: datetime) -> None:
    job.advance("STARTING", at=now, because=f"task {task_id} in {environment.name}")
    job.attempt += 1
    job.task_id = task_id
    job.compute_environment = environment.name
    job.status_reason = None
    job.bypassed = 0


def _network(submission: Submission, environment: ComputeEnvironment) -> dict[str, Any]:
    wanted = submission.container.get("networkConfiguration") or {}
    resources = environment.compute_resources
    return {
        "awsvpcConfiguration": {
            "subnets": resources.get("subnets") or [],
            "securityGroups": resources.get("securityGroupIds") or [],
            "assignPublicIp": wanted.get("assignPublicIp") or "DISABLED",
        }
    }


def submission_of(job_id: str) -> str:
    """Jobs of one submission differ in their index alone."""
    return job_id.partition(":")[0]


def _tried(board: Board, queue: str, first: str) -> Sequence[str]:
    """The environment that the plan chose, and those that come after it in the queue's order."""
    order = board.orders.get(queue, ())
    return order[order.index(first) :] if first in order else (first,)


def _behind(name: str, job: Job) -> str:
    """Told by what that job asks for, which stays the same, rather than by what is short just now."""
    gpus = f", {job.gpus} GPUs" if job.gpus else ""
    return (
        f"{INSUFFICIENT} - behind job {job.id}, which waits for room in {name} "
        f"for {job.cpu} CPU units, {job.memory} MiB{gpus}"
    )


def _spent(name: str) -> str:
    return f"{INSUFFICIENT} - {name} has no vCPUs left"


def _fitting(board: Board, name: str, cpu: int, count: int) -> int:
    left = board.left[name]
    return count if left is None else min(count, max(0, left // cpu))


def _best(reasons: Sequence[str]) -> str:
    """The reason to show: where the job could run, if it can run anywhere."""
    return next((reason for reason in reasons if reason.startswith(INSUFFICIENT)), reasons[0])


def _words(held: Held) -> str:
    match held.hold:
        case Hold.TOO_LARGE:
            return f"{TOO_LARGE} - {held.because}"
        case Hold.NO_ENVIRONMENT:
            return held.because
        case Hold.CAPACITY:
            return f"{INSUFFICIENT} - {held.because}"
        case Hold.BEHIND:
            return f"{INSUFFICIENT} - {held.hold}: {held.because}"
