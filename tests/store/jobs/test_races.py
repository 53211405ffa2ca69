"""Everybody at once, on both stores: two schedulers that take the lease from each other, an agent, and callers."""

import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from state.container_instances import ContainerInstance
from state.jobs import Job
from state.store import StoreBusy
from state.tasks import Task
from tests.support.batch import BatchPlane

FINISHED = {"SUCCEEDED", "FAILED"}
# Rounds of a thread: far more than the jobs need, so that a job which is stuck fails the test and does not hang it.
MOST_ROUNDS = 3000


@pytest.fixture
def plane(plane: BatchPlane) -> BatchPlane:
    plane.furnish(hosts=2)
    return plane


def all_finished(plane: BatchPlane) -> bool:
    query = select(func.count()).where(Job.status.not_in(FINISHED))
    return plane.store.read(lambda session: session.scalars(query).one()) == 0


def test_no_attempt_has_two_tasks_and_every_job_ends(plane: BatchPlane) -> None:
    array = plane.submit(arrayProperties={"size": 20}, retryStrategy={"attempts": 3})
    others = [plane.submit(dependsOn=[{"jobId": f"{array}:{index}"}]) for index in range(5)]
    done = threading.Event()
    trouble: list[BaseException] = []

    def thread(work: Callable[[int], None]) -> threading.Thread:
        def run() -> None:
            for turn in range(MOST_ROUNDS):
                if done.is_set():
                    return
                try:
                    work(turn)
                except StoreBusy:
                    continue
                except BaseException as error:
                    trouble.append(error)
                    done.set()
            done.set()

        return threading.Thread(target=run)

    def scheduler(holder: str) -> Callable[[int], None]:
        loops = plane.make_loops(holder)

        def step(turn: int) -> None:
            loops["jobs"].step()
            # Leases run out again and again, also under a scheduler that is at work.
            plane.loop_clock.tick(seconds=4)

        return step

    def agent(turn: int) -> None:
        plane.beat(exit_code=turn % 2)
        if all_finished(plane):
            done.set()

    def caller(turn: int) -> None:
        chance = random.Random(turn)
        victim = chance.choice([f"{array}:{chance.randrange(20)}", *others])
        if turn % 20 == 0:
            plane.batch.terminate_job(jobId=victim, reason="chance")
        elif turn % 20 == 10:
            plane.batch.cancel_job(jobId=victim, reason="chance")
        else:
            plane.batch.describe_jobs(jobs=[array, victim])

    threads = [thread(scheduler("one")), thread(scheduler("two")), thread(agent), thread(caller)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if trouble:
        raise trouble[0]
    assert all_finished(plane)
    attempts = Counter(task.job_id for task in plane.tasks())
    assert set(attempts.values()) == {1}
    hosts = plane.store.read(lambda session: session.scalars(select(ContainerInstance)).all())
    assert [(host.free_cpu, host.free_memory) for host in hosts] == [(4096, 8192)] * 2


def test_a_task_is_never_of_a_job_that_does_not_know_it(plane: BatchPlane) -> None:
    """Each job's task_id names the task of its last attempt, and that task names the job."""
    plane.submit(arrayProperties={"size": 8})
    plane.settle()
    pairs = plane.store.read(
        lambda session: session.execute(
            select(Job.id, Job.attempt, Task.job_id).join(Task, Task.id == Job.task_id)
        ).all()
    )
    assert len(pairs) == 8
    assert all(named == f"{job_id}/{attempt}" for job_id, attempt, named in pairs)
