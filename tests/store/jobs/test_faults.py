"""Trouble: steps repeated, schedulers killed between any two beats, two schedulers on one store, records in a race.

Whatever happens, a job's attempt is one task, and a job that can run does.
"""

import contextlib
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, select

from scheduler.loops.jobs import JobsLoop
from state.container_instances import ContainerInstance
from state.jobs import Job, move_jobs
from state.store import Session
from state.tasks import Task
from tests.support.batch import BatchPlane


class Killed(BaseException):
    """The process is gone: nothing after this line of it runs."""


@pytest.fixture
def plane(plane: BatchPlane) -> BatchPlane:
    plane.furnish(hosts=1)
    return plane


def attempts(plane: BatchPlane) -> Counter[str | None]:
    """How many tasks each attempt of each job has."""
    return Counter(task.job_id for task in plane.tasks())


def jobs_loop(plane: BatchPlane, holder: str) -> JobsLoop:
    loop = plane.make_loops(holder)["jobs"]
    assert isinstance(loop, JobsLoop)
    return loop


def until_starting(plane: BatchPlane, loop: JobsLoop) -> Any:
    """Step the loop until its next record would start jobs; answers that plan. Earlier leases have run out."""
    plane.loop_clock.tick(seconds=30)
    for _ in range(10):
        now = plane.loop_clock.now()
        seen = plane.store.read(lambda session: loop.observe(session, now))  # noqa: B023
        plan = loop.decide(seen, now)
        if plan is not None and plan.dispatch.dispatched:
            return plan
        loop.step()
    raise AssertionError("no job came to be started")


def test_a_plan_recorded_twice_starts_each_job_once(plane: BatchPlane) -> None:
    array = plane.submit(arrayProperties={"size": 3})
    loop = jobs_loop(plane, "one")
    plan = until_starting(plane, loop)
    for _ in range(2):
        plane.transact(lambda session: loop.record(session, plan, plane.loop_clock.now()))
    assert attempts(plane) == {f"{array}:{index}/1": 1 for index in range(3)}


def test_a_scheduler_killed_before_its_commit_leaves_nothing_and_the_next_one_starts_the_job(
    plane: BatchPlane,
) -> None:
    job = plane.submit()
    loop = jobs_loop(plane, "one")
    plan = until_starting(plane, loop)

    def die(session: Session) -> None:
        loop.record(session, plan, plane.loop_clock.now())
        session.flush()
        raise Killed

    with pytest.raises(Killed):
        plane.transact(die)
    assert plane.tasks() == []
    assert plane.status(job) == "RUNNABLE"
    plane.loop_clock.tick(seconds=30)
    plane.loops = plane.make_loops("two")
    plane.settle()
    assert attempts(plane) == {f"{job}/1": 1}


def test_a_scheduler_that_slept_through_its_lease_records_nothing(plane: BatchPlane) -> None:
    job = plane.submit()
    slow, fast = jobs_loop(plane, "slow"), jobs_loop(plane, "fast")
    plan = until_starting(plane, slow)
    lease = slow.leases.hold("jobs")
    assert lease is not None
    plane.loop_clock.tick(seconds=30)
    for _ in range(3):
        fast.step()
    assert plane.status(job) == "STARTING"
    slow.record_guarded(lease, plan)
    assert attempts(plane) == {f"{job}/1": 1}


def test_two_schedulers_that_take_turns_start_each_job_once(plane: BatchPlane) -> None:
    array = plane.submit(arrayProperties={"size": 4})
    loops = [jobs_loop(plane, "one"), jobs_loop(plane, "two")]
    for turn in range(8):
        loops[turn % 2].step()
        plane.loop_clock.tick(seconds=30)
    assert attempts(plane) == {f"{array}:{index}/1": 1 for index in range(4)}


def test_a_job_cancelled_between_the_look_and_the_record_is_not_started(plane: BatchPlane) -> None:
    job = plane.submit()
    loop = jobs_loop(plane, "one")
    plan = until_starting(plane, loop)
    plane.batch.cancel_job(jobId=job, reason="just in time")
    plane.transact(lambda session: loop.record(session, plan, plane.loop_clock.now()))
    assert plane.tasks() == []
    plane.settle()
    assert plane.job(job)["statusReason"] == "just in time"


def test_room_taken_between_the_look_and_the_record_is_not_overcommitted(plane: BatchPlane) -> None:
    job = plane.submit()
    loop = jobs_loop(plane, "one")
    plan = until_starting(plane, loop)

    def take(session: Session) -> None:
        host = session.scalars(select(ContainerInstance)).one()
        host.free_cpu = 0

    plane.transact(take)
    plane.transact(lambda session: loop.record(session, plan, plane.loop_clock.now()))
    assert plane.tasks() == []
    held = plane.job(job)
    assert held["status"] == "RUNNABLE"
    short = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ce: cpu: 1024 CPU units asked, 0 free on "
    assert held["statusReason"].startswith(short)


def test_a_failed_attempt_seen_twice_is_one_attempt(plane: BatchPlane) -> None:
    job = plane.submit(retryStrategy={"attempts": 3})
    plane.settle()
    plane.run(job)
    plane.settle()
    plane.end(job, exit_code=1)
    loop = jobs_loop(plane, "one")
    now = plane.loop_clock.now()
    plan = loop.decide(plane.store.read(lambda session: loop.observe(session, now)), now)
    for _ in range(2):
        plane.transact(lambda session: loop.record(session, plan, now))
    assert len(plane.job(job)["attempts"]) == 1
    plane.settle()
    assert attempts(plane) == {f"{job}/1": 1, f"{job}/2": 1}


def test_a_task_that_is_no_longer_known_costs_an_attempt_and_not_the_loop(plane: BatchPlane) -> None:
    job = plane.submit(retryStrategy={"attempts": 2})
    plane.settle()
    task_id = plane.task_of(job).id
    plane.transact(lambda session: session.delete(session.get_one(Task, task_id)))
    plane.settle()
    again = plane.job(job)
    assert again["status"] == "STARTING"
    assert again["attempts"][0]["statusReason"] == "The task of this attempt is no longer known"


def test_a_terminated_job_that_is_starting_ends_with_its_task_and_frees_its_room(plane: BatchPlane) -> None:
    job = plane.submit()
    plane.settle()
    plane.batch.terminate_job(jobId=job, reason="never mind")
    plane.settle()
    task = plane.task_of(job)
    assert task.desired_status == "STOPPED"
    plane.end(job, exit_code=None)
    plane.settle()
    assert plane.job(job)["statusReason"] == "never mind"
    free = plane.store.read(lambda session: session.scalar(select(func.sum(ContainerInstance.free_cpu))))
    assert free == 4096


def test_a_move_from_another_status_moves_nothing_and_leaves_no_event(plane: BatchPlane) -> None:
    job = plane.submit()
    now = plane.loop_clock.now()

    def move(session: Session) -> list[str]:
        return move_jobs(session, [job], "PENDING", "RUNNABLE", at=now, because="it is not PENDING")

    assert plane.transact(move) == []
    assert plane.status(job) == "SUBMITTED"


def test_every_job_ends_whatever_is_killed_on_the_way(plane: BatchPlane) -> None:
    """A record is killed at every third try, and the lease changes hands; no job is lost, none runs twice."""
    plane.submit(name="first", arrayProperties={"size": 6}, retryStrategy={"attempts": 2})
    tries = 0
    for turn in range(60):
        loop = jobs_loop(plane, f"scheduler-{turn}")
        original = loop.record

        def record(session: Session, outcome: Any, now: Any, original: Any = original) -> None:
            nonlocal tries
            tries += 1
            original(session, outcome, now)
            session.flush()
            if tries % 3 == 0:
                raise Killed

        loop.record = record  # type: ignore[method-assign]
        with contextlib.suppress(Killed):
            loop.step()
        plane.beat(exit_code=turn % 2)
        plane.loop_clock.tick(seconds=11)
    counts = plane.store.read(
        lambda session: dict(session.execute(select(Job.status, func.count()).group_by(Job.status)).all())  # type: ignore[arg-type]
    )
    assert counts.keys() <= {"SUCCEEDED", "FAILED"}
    assert sum(counts.values()) == 7
    assert set(attempts(plane).values()) == {1}
