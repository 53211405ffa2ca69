"""What is forgotten in time, and what is not: jobs that others wait for, tasks that a job has yet to follow."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from scheduler.loops import housekeeping
from scheduler.loops.housekeeping import HousekeepingLoop
from state.job_retention import forget_jobs
from state.jobs import Job, JobDependency, Submission
from state.loop import Leases
from tests.support.batch import BatchPlane


@pytest.fixture
def plane(plane: BatchPlane) -> BatchPlane:
    plane.furnish(hosts=1)
    return plane


def forget(plane: BatchPlane) -> int:
    before = plane.loop_clock.now() + timedelta(seconds=1)
    return plane.transact(lambda session: forget_jobs(session, before=before, limit=100))


def test_finished_arrays_go_with_their_children_and_dependencies(plane: BatchPlane) -> None:
    first = plane.submit()
    plane.settle()
    array = plane.submit(arrayProperties={"size": 2}, dependsOn=[{"jobId": first}])
    plane.settle()
    plane.batch.terminate_job(jobId=array, reason="enough")
    plane.settle()
    plane.finish(first)
    assert forget(plane) == 4
    assert plane.batch.describe_jobs(jobs=[first, array, f"{array}:0"])["jobs"] == []
    for table in (Job, JobDependency, Submission):
        assert plane.store.read(lambda session: session.scalars(select(table)).all()) == []  # noqa: B023


def test_a_job_that_another_waits_for_is_kept(plane: BatchPlane) -> None:
    array = plane.submit(arrayProperties={"size": 2})
    slow = plane.submit()
    waiting = plane.submit(dependsOn=[{"jobId": f"{array}:1"}, {"jobId": slow}])
    plane.settle()
    for index in range(2):
        plane.finish(f"{array}:{index}")
    assert forget(plane) == 0
    plane.finish(slow)
    assert plane.status(waiting) == "STARTING"


def test_what_is_old_goes_by_bites_however_many_jobs_others_wait_for(plane: BatchPlane) -> None:
    jobs = [plane.submit() for _ in range(4)]
    for job in jobs:
        plane.settle()
        plane.finish(job)
        plane.loop_clock.tick(seconds=1)
    needed = [plane.submit(dependsOn=[{"jobId": jobs[0]}, {"jobId": jobs[1]}])]
    before = plane.loop_clock.now() + timedelta(seconds=1)

    def forget_one() -> int:
        return plane.transact(lambda session: forget_jobs(session, before=before, limit=1))

    assert [forget_one() for _ in range(3)] == [1, 1, 0]
    left = {job["jobId"] for job in plane.batch.describe_jobs(jobs=[*jobs, *needed])["jobs"]}
    assert left == {*jobs[:2], *needed}


def test_housekeeping_comes_back_at_once_while_there_is_more(
    plane: BatchPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "BITE", 2)
    for _ in range(3):
        job = plane.submit()
        plane.settle()
        plane.finish(job)
    plane.loop_clock.tick(hours=2)
    leases = Leases(plane.store, plane.loop_clock, "keeper")
    keeper = HousekeepingLoop(plane.store, plane.loop_clock, leases, task_retention=timedelta(hours=1))
    assert keeper.step() == plane.loop_clock.now() + housekeeping.PAUSE
    assert len(plane.tasks()) == 1
    assert keeper.step() is None
    assert plane.tasks() == []


def test_the_task_of_a_job_that_nobody_has_followed_yet_is_kept(plane: BatchPlane) -> None:
    job = plane.submit()
    plane.settle()
    plane.run(job)
    plane.end(job)
    plane.loop_clock.tick(hours=2)
    leases = Leases(plane.store, plane.loop_clock, "keeper")
    keeper = HousekeepingLoop(plane.store, plane.loop_clock, leases, task_retention=timedelta(hours=1))
    keeper.step()
    plane.settle()
    assert plane.status(job) == "SUCCEEDED"
    plane.loop_clock.tick(minutes=2)
    keeper.step()
    assert plane.tasks() == []
    done = plane.job(job)
    assert (done["status"], done["container"]["exitCode"]) == ("SUCCEEDED", 0)
    assert done["container"]["logStreamName"].startswith("work/default/")
