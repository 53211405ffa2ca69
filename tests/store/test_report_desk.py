"""The report desk: many reports in one transaction, each judged by itself, whatever is beside it, whoever repeats."""

import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from kit.aws.errors import AwsError
from orchestrator.agents.report_desk import ReportDesk
from state.base import Event
from state.capacities import Capacity
from state.observed_tasks import lock_observed
from state.store import Session, StoreUnavailable
from state.tasks import Task
from tests.support.counts import counts_amiss
from tests.support.tasks import TasksPlane

PULL = "CannotPullContainerError: no"


@pytest.fixture
def plane(store_url: str) -> Iterator[TasksPlane]:
    plane = TasksPlane(store_url)
    yield plane
    plane.close()


@pytest.fixture
def desk(plane: TasksPlane) -> ReportDesk:
    return ReportDesk(plane.store, plane.clock)


def launch(plane: TasksPlane, count: int, *, memory: int = 65536) -> tuple[str, list[str]]:
    """Tasks on one host; answers the host and the tasks."""
    host = plane.add_host(cpu=65536, memory=memory)
    plane.register()
    arns = [task["taskArn"] for _ in range(0, count, 10) for task in run(plane, min(count, 10))]
    return host, arns[:count]


def run(plane: TasksPlane, count: int) -> list[dict[str, Any]]:
    answer = plane.ecs.run_task(taskDefinition="t", count=count)
    assert not answer["failures"], answer["failures"]
    tasks: list[dict[str, Any]] = answer["tasks"]
    return tasks


def report(arn: str, status: str, **container: Any) -> dict[str, Any]:
    return {
        "task": arn,
        "status": status,
        "containers": [{"containerName": "main", "status": status, "runtimeId": arn[-12:], **container}],
    }


def codes(answers: Sequence[AwsError | None]) -> list[str | None]:
    return [answer.code if answer is not None else None for answer in answers]


def statuses(plane: TasksPlane, arns: Sequence[str]) -> list[str]:
    return [plane.task(arn)["lastStatus"] for arn in arns]


def moves(plane: TasksPlane, arn: str) -> list[tuple[str | None, str]]:
    task_id = arn.rsplit("/", 1)[-1]
    query = select(Event.before, Event.after).where(Event.entity == f"task/default/{task_id}").order_by(Event.id)
    return [(before, after) for before, after in plane.store.read(lambda session: session.execute(query).all())]


def sound(plane: TasksPlane) -> bool:
    """Whether the counts of tasks are right."""
    return not plane.store.read(lambda session: list(counts_amiss(session)))


def test_many_reports_are_written_together(plane: TasksPlane, desk: ReportDesk) -> None:
    host, arns = launch(plane, 30)
    woken: list[str] = []
    plane.store.wakes.listen("services", lambda: woken.append("services"))

    assert codes(desk.submit([report(arn, "RUNNING") for arn in arns])) == [None] * 30

    assert statuses(plane, arns) == ["RUNNING"] * 30
    assert moves(plane, arns[0]) == [(None, "PENDING"), ("PENDING", "RUNNING")]
    shown = plane.ecs.describe_container_instances(containerInstances=[host])["containerInstances"][0]
    assert (shown["runningTasksCount"], shown["pendingTasksCount"]) == (30, 0)
    assert plane.task(arns[7])["containers"][0]["runtimeId"] == arns[7][-12:]
    assert sound(plane)
    assert not woken, "tasks of no service are nobody's business"


def test_a_bad_report_fails_alone(plane: TasksPlane, desk: ReportDesk) -> None:
    _, arns = launch(plane, 5)
    unknown = "arn:aws:ecs:us-east-1:123456789012:task/default/nobody"

    answers = desk.submit(
        [
            report(arns[0], "RUNNING"),
            report(unknown, "RUNNING"),
            {"task": arns[1], "status": "RUNNING", "containers": 7},
            {"status": "RUNNING"},
            # Found out only by the database's driver, when everything is written.
            report(arns[2], "RUNNING", runtimeId=object()),
            report(arns[3], "STOPPED", exitCode=0),
            {"task": arns[4], "status": "DANCING", "containers": [{"containerName": "nobody", "status": "RUNNING"}]},
        ]
    )

    invalid, failed = "InvalidParameterException", "InternalFailure"
    assert codes(answers) == [None, invalid, failed, invalid, failed, None, None]
    assert statuses(plane, arns) == ["RUNNING", "PENDING", "PENDING", "STOPPED", "PENDING"]
    assert sound(plane)


def test_repeats_and_late_reports_change_nothing(plane: TasksPlane, desk: ReportDesk) -> None:
    host, arns = launch(plane, 3)
    free = plane.free(host)["MEMORY"]
    desk.submit([report(arn, "RUNNING") for arn in arns])
    before = [plane.task(arn) for arn in arns]
    desk.submit([report(arn, "RUNNING") for arn in arns])
    assert [plane.task(arn) for arn in arns] == before

    stops = [report(arn, "STOPPED", exitCode=3) for arn in arns]
    desk.submit([*stops, report(arns[0], "RUNNING"), *stops])
    desk.submit([report(arns[1], "RUNNING"), *stops])

    assert statuses(plane, arns) == ["STOPPED"] * 3
    assert moves(plane, arns[0])[-1] == ("RUNNING", "STOPPED") and len(moves(plane, arns[0])) == 3
    assert plane.free(host)["MEMORY"] == free + 3 * 64, "room is given back once"
    assert sound(plane)


def test_the_whole_course_of_a_task_may_arrive_at_once(plane: TasksPlane, desk: ReportDesk) -> None:
    host, arns = launch(plane, 2)
    ran, failed = arns
    never = {"task": failed, "status": "STOPPED", "reason": PULL}

    desk.submit([report(ran, "RUNNING"), report(ran, "STOPPED", exitCode=1), report(failed, "STOPPED", reason=PULL)])
    desk.submit([never])

    assert moves(plane, ran) == [(None, "PENDING"), ("PENDING", "RUNNING"), ("RUNNING", "STOPPED")]
    assert plane.task(ran)["stopCode"] == "EssentialContainerExited"
    assert plane.task(ran)["containers"][0]["exitCode"] == 1
    assert plane.task(failed)["stopCode"] == "TaskFailedToStart"
    assert plane.free(host)["MEMORY"] == 65536
    assert sound(plane)


def test_what_was_asked_to_stop_keeps_its_code_and_reason(plane: TasksPlane, desk: ReportDesk) -> None:
    _, [arn] = launch(plane, 1)
    plane.ecs.stop_task(task=arn, reason="enough")

    desk.submit([report(arn, "STOPPED", exitCode=137)])

    task = plane.task(arn)
    assert (task["lastStatus"], task["stopCode"], task["stoppedReason"]) == ("STOPPED", "UserInitiated", "enough")


def test_the_host_of_a_fargate_task_goes_with_it(plane: TasksPlane, desk: ReportDesk) -> None:
    _, [arn] = launch(plane, 1)
    task_id = arn.rsplit("/", 1)[-1]

    def give_capacity(session: Session) -> None:
        at = plane.clock.now()
        sizes = {"cpu": 256, "memory": 512, "requested_at": at}
        usual = {"provisioner": "local", "cluster": "default", "purpose": "task", "task_id": task_id}
        session.add(Capacity(id="capacity", status="ACTIVE", **usual, **sizes))
        session.get_one(Task, task_id).capacity_id = "capacity"

    plane.store.transact(give_capacity)
    woken: list[str] = []
    plane.store.wakes.listen("capacities", lambda: woken.append("capacities"))

    desk.submit([report(arn, "RUNNING"), report(arn, "STOPPED", exitCode=0), report(arn, "STOPPED", exitCode=0)])

    assert statuses(plane, [arn]) == ["DEPROVISIONING"]
    assert plane.store.read(lambda session: session.get_one(Capacity, "capacity").status) == "TERMINATING"
    assert woken == ["capacities"]
    assert sound(plane)


def test_a_transaction_that_fails_is_told_and_leaves_nothing(plane: TasksPlane, desk: ReportDesk) -> None:
    host, arns = launch(plane, 4)
    free = plane.free(host)
    reports = [*(report(arn, "RUNNING") for arn in arns), *(report(arn, "STOPPED") for arn in arns[:2])]
    gone = OperationalError("COMMIT", None, Exception("the server is gone"))

    with mock.patch.object(Session, "commit", side_effect=gone), pytest.raises(StoreUnavailable):
        desk.submit(reports)
    assert statuses(plane, arns) == ["PENDING"] * 4
    assert plane.free(host) == free

    assert codes(desk.submit(reports)) == [None] * 6
    assert statuses(plane, arns) == ["STOPPED", "STOPPED", "RUNNING", "RUNNING"]
    assert sound(plane)


def test_desks_of_many_processes_and_many_threads_never_hold_each_other_up(plane: TasksPlane) -> None:
    host, arns = launch(plane, 40)
    desks = [ReportDesk(plane.store, plane.clock) for _ in range(3)]
    chance = random.Random(5)

    def shuffled(status: str) -> list[Mapping[str, Any]]:
        reports = [report(arn, status, exitCode=0) for arn in arns]
        chance.shuffle(reports)
        return reports

    batches = [shuffled(status) for status in ("RUNNING", "STOPPED", "RUNNING") for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(desks[n % 3].submit, batch) for n, batch in enumerate(batches)]
        single = [pool.submit(desks[n % 3].submit, [r]) for n, r in enumerate(shuffled("STOPPED"))]
        assert all(set(codes(answer.result())) == {None} for answer in [*answers, *single])

    assert set(statuses(plane, arns)) == {"STOPPED"}
    assert plane.free(host)["MEMORY"] == 65536
    assert sound(plane)


def test_a_call_gets_its_own_error_and_its_neighbours_none(plane: TasksPlane) -> None:
    _, arns = launch(plane, 20)
    refused = plane.ecs.exceptions.InvalidParameterException

    def submit(arn: str) -> str:
        try:
            return str(plane.ecs.submit_task_state_change(task=arn, status="RUNNING")["acknowledgment"])
        except refused as error:
            return str(error.response["Error"]["Message"])

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(submit, [arn for known in arns for arn in (known, f"{known}-not")]))

    assert said == ["ACK", "The referenced task was not found."] * 20
    assert statuses(plane, arns) == ["RUNNING"] * 20


def test_a_container_alone_may_be_reported(plane: TasksPlane) -> None:
    _, [arn] = launch(plane, 1)

    plane.ecs.submit_container_state_change(task=arn, containerName="main", status="RUNNING", runtimeId="abc")

    task = plane.task(arn)
    assert (task["lastStatus"], task["containers"][0]["lastStatus"]) == ("PENDING", "RUNNING")
    assert task["containers"][0]["runtimeId"] == "abc"


def test_a_task_is_read_for_its_reports_as_it_is_kept(plane: TasksPlane, desk: ReportDesk) -> None:
    _, [arn] = launch(plane, 1)
    assert codes(desk.submit([report(arn, "RUNNING")])) == [None]

    def both(session: Session) -> tuple[dict[str, Any], dict[str, Any]]:
        [(task_id, observed)] = lock_observed(session, [arn.rpartition("/")[2]]).items()
        kept = session.get_one(Task, task_id)
        return observed._asdict(), {name: getattr(kept, name) for name in observed._fields}

    observed, kept = plane.store.transact(both)
    assert observed == kept
    assert kept["has_roles"] is False and kept["started_at"] is not None
