"""Array jobs on both stores: ten thousand children, dependencies between children, the parent's end."""

import pytest
from sqlalchemy import select, update

from state.base import Event
from state.jobs import Job
from state.store import Session
from tests.support.batch import FARGATE, FARGATE_CONTAINER, BatchPlane


@pytest.fixture
def plane(plane: BatchPlane) -> BatchPlane:
    plane.furnish()
    return plane


def statuses(plane: BatchPlane, array: str, size: int) -> list[str]:
    return [plane.status(f"{array}:{index}") for index in range(size)]


def test_an_array_runs_its_children_and_succeeds_with_them(plane: BatchPlane) -> None:
    plane.add_host()
    array = plane.submit(arrayProperties={"size": 3})
    plane.settle()
    parent = plane.job(array)
    assert parent["status"] == "PENDING"
    assert parent["arrayProperties"]["size"] == 3
    assert parent["arrayProperties"]["statusSummary"]["STARTING"] == 3
    environments = [plane.task_of(f"{array}:{index}").extra_environment for index in range(3)]
    assert [one["AWS_BATCH_JOB_ARRAY_INDEX"] for one in environments] == ["0", "1", "2"]
    assert {one["AWS_BATCH_JOB_ARRAY_SIZE"] for one in environments} == {"3"}
    assert [one["AWS_BATCH_JOB_ID"] for one in environments] == [f"{array}:{index}" for index in range(3)]
    for index in range(3):
        assert plane.status(array) == "PENDING"
        plane.finish(f"{array}:{index}")
    done = plane.job(array)
    assert done["status"] == "SUCCEEDED"
    assert done["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 3
    assert done["startedAt"] <= done["stoppedAt"]
    assert plane.job(f"{array}:1")["arrayProperties"]["index"] == 1


def test_one_failed_child_fails_the_array_once_all_are_done(plane: BatchPlane) -> None:
    plane.add_host()
    array = plane.submit(arrayProperties={"size": 2})
    plane.settle()
    plane.finish(f"{array}:0", exit_code=1)
    assert plane.status(array) == "PENDING"
    plane.finish(f"{array}:1")
    failed = plane.job(array)
    assert (failed["status"], failed["statusReason"]) == ("FAILED", "Array Child Job failed")


def test_n_to_n_children_wait_for_their_counterparts(plane: BatchPlane) -> None:
    plane.add_host(cpu=16384)
    first = plane.submit(arrayProperties={"size": 3})
    second = plane.submit(arrayProperties={"size": 3}, dependsOn=[{"jobId": first, "type": "N_TO_N"}])
    plane.settle()
    assert statuses(plane, second, 3) == ["PENDING"] * 3
    plane.finish(f"{first}:1")
    assert statuses(plane, second, 3) == ["PENDING", "STARTING", "PENDING"]
    plane.finish(f"{first}:0", exit_code=1)
    assert statuses(plane, second, 3) == ["FAILED", "STARTING", "PENDING"]
    assert plane.job(f"{second}:0")["statusReason"] == "Dependent Job failed"
    assert plane.job(f"{second}:2")["dependsOn"] == [{"jobId": f"{first}:2"}]


def test_sequential_children_run_one_after_the_other(plane: BatchPlane) -> None:
    plane.add_host(cpu=16384)
    array = plane.submit(arrayProperties={"size": 3}, dependsOn=[{"type": "SEQUENTIAL"}])
    plane.settle()
    assert statuses(plane, array, 3) == ["STARTING", "PENDING", "PENDING"]
    plane.finish(f"{array}:0")
    assert statuses(plane, array, 3) == ["SUCCEEDED", "STARTING", "PENDING"]
    plane.finish(f"{array}:1", exit_code=1)
    assert statuses(plane, array, 3) == ["SUCCEEDED", "FAILED", "FAILED"]
    assert plane.status(array) == "FAILED"


def test_children_wait_for_what_their_array_depends_on(plane: BatchPlane) -> None:
    plane.add_host()
    first = plane.submit()
    good = plane.submit(arrayProperties={"size": 2}, dependsOn=[{"jobId": first}])
    after = plane.submit(dependsOn=[{"jobId": good}])
    plane.settle()
    assert statuses(plane, good, 2) == ["PENDING", "PENDING"]
    plane.finish(first)
    assert statuses(plane, good, 2) == ["STARTING", "STARTING"]
    plane.finish(f"{good}:0")
    assert plane.status(after) == "PENDING"
    plane.finish(f"{good}:1")
    assert plane.status(after) == "STARTING"


def test_a_failed_dependency_fails_every_child_and_then_the_array(plane: BatchPlane) -> None:
    plane.add_host()
    first = plane.submit()
    array = plane.submit(arrayProperties={"size": 2}, dependsOn=[{"jobId": first}])
    plane.settle()
    plane.finish(first, exit_code=1)
    assert statuses(plane, array, 2) == ["FAILED", "FAILED"]
    assert (plane.status(array), plane.job(array)["statusReason"]) == ("FAILED", "Dependent Job failed")


def test_terminating_an_array_ends_every_child(plane: BatchPlane) -> None:
    plane.add_host(cpu=1024)
    array = plane.submit(arrayProperties={"size": 3})
    plane.settle()
    plane.run(f"{array}:0")
    plane.settle()
    plane.batch.terminate_job(jobId=array, reason="stop it all")
    plane.settle()
    assert statuses(plane, array, 3) == ["RUNNING", "FAILED", "FAILED"]
    plane.end(f"{array}:0", exit_code=137)
    plane.settle()
    ended = plane.job(array)
    assert (ended["status"], ended["statusReason"]) == ("FAILED", "stop it all")


def test_cancelling_an_array_leaves_children_that_have_started(plane: BatchPlane) -> None:
    plane.add_host(cpu=1024)
    array = plane.submit(arrayProperties={"size": 3})
    plane.settle()
    plane.batch.cancel_job(jobId=array, reason="enough")
    plane.settle()
    assert statuses(plane, array, 3) == ["STARTING", "FAILED", "FAILED"]
    plane.finish(f"{array}:0")
    assert plane.status(f"{array}:0") == "SUCCEEDED"
    assert plane.status(array) == "FAILED"


def test_ten_thousand_children_are_admitted_and_held_in_bounded_steps(plane: BatchPlane) -> None:
    array = plane.submit(arrayProperties={"size": 10_000})
    steps = plane.settle()
    assert steps < 100
    assert plane.job(array)["arrayProperties"]["statusSummary"]["RUNNABLE"] == 10_000
    assert plane.job(array)["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ")
    plane.batch.cancel_job(jobId=array, reason="too many")
    plane.settle()
    ended = plane.job(array)
    assert (ended["status"], ended["statusReason"]) == ("FAILED", "too many")
    assert ended["arrayProperties"]["statusSummary"]["FAILED"] == 10_000


def test_a_large_array_never_runs_more_children_than_there_is_room(store_url: str) -> None:
    plane = BatchPlane(store_url)
    plane.environment(resources={**FARGATE, "maxvCpus": 50})
    plane.queue()
    plane.definition(container=FARGATE_CONTAINER, platformCapabilities=["FARGATE"])
    array = plane.submit(arrayProperties={"size": 300})
    plane.settle()
    summary = plane.job(array)["arrayProperties"]["statusSummary"]
    assert (summary["STARTING"], summary["RUNNABLE"]) == (200, 100)
    assert len({task.job_id for task in plane.tasks()}) == 200
    plane.close()


def test_every_move_of_a_child_has_its_event(plane: BatchPlane) -> None:
    plane.add_host()
    array = plane.submit(arrayProperties={"size": 2})
    plane.settle()
    plane.finish(f"{array}:1")

    def moves(session: Session) -> list[tuple[str | None, str]]:
        query = select(Event.before, Event.after).where(Event.entity == f"job/{array}:1").order_by(Event.id)
        return [(row.before, row.after) for row in session.execute(query)]

    assert plane.store.read(moves) == [
        ("SUBMITTED", "RUNNABLE"),
        ("RUNNABLE", "STARTING"),
        ("STARTING", "RUNNING"),
        ("RUNNING", "SUCCEEDED"),
    ]


def test_a_long_n_to_n_pair_settles_in_chunks(plane: BatchPlane) -> None:
    first = plane.submit(arrayProperties={"size": 1500})
    second = plane.submit(arrayProperties={"size": 1500}, dependsOn=[{"jobId": first, "type": "N_TO_N"}])
    plane.settle()

    def finish(session: Session) -> None:
        session.execute(update(Job).where(Job.array_id == first).values(status="SUCCEEDED"))
        session.wake("jobs")

    plane.transact(finish)
    plane.settle()
    assert plane.status(first) == "SUCCEEDED"
    assert plane.job(second)["arrayProperties"]["statusSummary"]["RUNNABLE"] == 1500
