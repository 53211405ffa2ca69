"""Tasks through boto3: run, start, stop, describe, list, and what agents' reports make of them."""

import json
from typing import Any

import pytest

from orchestrator.agents.conversation import Conversation
from state.store import Session
from state.tasks import Task
from tests.support.refusals import refusal
from tests.support.tasks import FARGATE, NETWORK, SMALL, TasksPlane


def test_run_task_places_reserves_and_answers_pending(plane: TasksPlane) -> None:
    host = plane.add_host()
    plane.register("t", {**SMALL, "cpu": 128})
    task = plane.run()
    assert (task["lastStatus"], task["desiredStatus"], task["launchType"]) == ("PENDING", "RUNNING", "EC2")
    assert task["containerInstanceArn"] == host
    assert task["group"] == "family:t"
    assert plane.free(host) == {"CPU": 1024 - 128, "MEMORY": 1024 - 64}


def test_a_task_that_fits_nowhere_is_a_failure_that_says_what_is_short(plane: TasksPlane) -> None:
    host = plane.add_host(memory=100)
    plane.register("t", {**SMALL, "memory": 200})
    answer = plane.ecs.run_task(taskDefinition="t", count=2)
    assert answer["tasks"] == []
    assert [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:MEMORY"] * 2
    assert {failure["arn"] for failure in answer["failures"]} == {host}
    assert "memory: 200 MiB asked, 100 free on" in answer["failures"][0]["detail"]


def test_without_hosts_run_task_says_so(plane: TasksPlane) -> None:
    plane.register()
    with pytest.raises(plane.ecs.exceptions.InvalidParameterException, match="No Container Instances were found"):
        plane.ecs.run_task(taskDefinition="t")


def test_what_fits_is_run_and_the_rest_is_failures(plane: TasksPlane) -> None:
    plane.add_host(memory=150)
    plane.register()
    answer = plane.ecs.run_task(taskDefinition="t", count=3)
    assert (len(answer["tasks"]), len(answer["failures"])) == (2, 1)


def test_a_host_port_is_given_once(plane: TasksPlane) -> None:
    plane.add_host()
    plane.register("t", {**SMALL, "portMappings": [{"containerPort": 80, "hostPort": 8080}]})
    first = plane.run()
    assert plane.ecs.run_task(taskDefinition="t")["failures"][0]["reason"] == "RESOURCE:PORTS"
    plane.report(first["taskArn"], "STOPPED", container={"exitCode": 0})
    plane.run()


def test_a_client_token_may_be_longer_than_its_column(plane: TasksPlane) -> None:
    plane.add_host()
    plane.register()
    tokens = ["t" * 200, "t" * 201, "t" * 200]
    first, other, again = (
        plane.ecs.run_task(taskDefinition="t", clientToken=token)["tasks"][0]["taskArn"] for token in tokens
    )
    assert first == again != other


def test_a_repeated_client_token_runs_nothing_twice(plane: TasksPlane) -> None:
    plane.add_host()
    plane.register()
    first = plane.ecs.run_task(taskDefinition="t", clientToken="once")
    again = plane.ecs.run_task(taskDefinition="t", clientToken="once")
    assert [task["taskArn"] for task in again["tasks"]] == [task["taskArn"] for task in first["tasks"]]
    assert again["tasks"][0]["createdAt"] == first["tasks"][0]["createdAt"]
    assert len(plane.ecs.list_tasks()["taskArns"]) == 1
    with pytest.raises(plane.ecs.exceptions.ConflictException):
        plane.ecs.run_task(taskDefinition="t", clientToken="once", count=2)


def test_start_task_puts_one_task_on_each_named_host(plane: TasksPlane) -> None:
    hosts = [plane.add_host(), plane.add_host()]
    plane.register()
    answer = plane.ecs.start_task(taskDefinition="t", containerInstances=[*hosts, "missing"])
    assert [task["containerInstanceArn"] for task in answer["tasks"]] == hosts
    assert answer["failures"] == [{"arn": "missing", "reason": "MISSING"}]


def test_a_task_runs_and_ends_as_its_agent_reports(plane: TasksPlane) -> None:
    host = plane.add_host()
    plane.register()
    arn = plane.run()["taskArn"]
    bindings = [{"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"}]
    plane.report(arn, "RUNNING", container={"runtimeId": "abc", "networkBindings": bindings})
    running = plane.task(arn)
    assert running["lastStatus"] == "RUNNING"
    assert running["containers"][0]["networkBindings"] == bindings
    assert running["startedAt"] >= running["createdAt"]
    assert (running["connectivity"], running["connectivityAt"]) == ("CONNECTED", running["startedAt"])
    plane.report(arn, "STOPPED", container={"exitCode": 3}, reason="Essential container in task exited")
    stopped = plane.task(arn)
    assert (stopped["lastStatus"], stopped["stopCode"]) == ("STOPPED", "EssentialContainerExited")
    assert stopped["stoppedReason"] == "Essential container in task exited"
    container = stopped["containers"][0]
    assert (container["lastStatus"], container["exitCode"], container["runtimeId"]) == ("STOPPED", 3, "abc")
    assert plane.free(host)["MEMORY"] == 1024


def test_a_task_that_never_ran_failed_to_start(plane: TasksPlane) -> None:
    plane.add_host()
    plane.register()
    arn = plane.run()["taskArn"]
    reason = "CannotPullContainerError: i:1 not found"
    plane.report(arn, "STOPPED", container={"reason": reason}, reason=reason)
    task = plane.task(arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", reason)
    assert task["containers"][0]["reason"] == reason


def test_late_and_repeated_reports_change_nothing(plane: TasksPlane) -> None:
    host = plane.add_host()
    plane.register()
    arn = plane.run()["taskArn"]
    for _ in range(2):
        plane.report(arn, "STOPPED", container={"exitCode": 0})
    plane.report(arn, "RUNNING")
    assert plane.task(arn)["lastStatus"] == "STOPPED"
    assert plane.free(host)["MEMORY"] == 1024


@pytest.mark.parametrize("call", ["run_task", "start_task"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"group": "service:web"}, "Invalid namespace for group"),
        ({"group": "family:t"}, "Invalid namespace for group"),
        ({"group": "g" * 256}, "group must have at most 255 characters"),
        ({"startedBy": "s" * 129}, "startedBy must have at most 128 characters"),
    ],
)
def test_groups_of_ecs_own_and_names_too_long_are_refused(
    plane: TasksPlane, call: str, given: dict[str, str], message: str
) -> None:
    host = plane.add_host()
    plane.register()
    hosts = {"containerInstances": [host]} if call == "start_task" else {}
    with pytest.raises(plane.ecs.exceptions.InvalidParameterException, match=message):
        getattr(plane.ecs, call)(taskDefinition="t", **hosts, **given)
    assert plane.ecs.list_tasks()["taskArns"] == []


def test_a_task_keeps_its_group_and_who_started_it(plane: TasksPlane) -> None:
    plane.add_host()
    plane.register()
    given = {"group": "nightly", "startedBy": "s" * 128}
    task = plane.run(**given)
    assert {member: task[member] for member in given} == given
    assert plane.ecs.list_tasks(startedBy="s" * 128)["taskArns"] == [task["taskArn"]]


def test_stop_task_asks_and_keeps_the_first_reason(plane: TasksPlane) -> None:
    plane.add_host()
    plane.register()
    arn = plane.run()["taskArn"]
    plane.report(arn, "RUNNING")
    asked = plane.ecs.stop_task(task=arn, reason="enough")["task"]
    assert (asked["desiredStatus"], asked["lastStatus"]) == ("STOPPED", "RUNNING")
    plane.ecs.stop_task(task=arn, reason="again")
    plane.report(arn, "STOPPED", container={"exitCode": 143})
    task = plane.task(arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert plane.ecs.stop_task(task=arn)["task"]["lastStatus"] == "STOPPED"


def test_stop_task_on_an_unknown_task_says_it_was_not_found(plane: TasksPlane) -> None:
    with pytest.raises(plane.ecs.exceptions.InvalidParameterException) as error:
        plane.ecs.stop_task(task="f" * 32)
    assert "task was not found" in refusal(error)[1]


def test_describe_tasks_names_what_is_missing(plane: TasksPlane) -> None:
    plane.add_host()
    plane.register()
    arn = plane.run()["taskArn"]
    answer = plane.ecs.describe_tasks(tasks=[arn.rsplit("/", 1)[-1], "f" * 32])
    assert [task["taskArn"] for task in answer["tasks"]] == [arn]
    assert answer["failures"][0]["reason"] == "MISSING"


def test_list_tasks_filters_and_pages(plane: TasksPlane) -> None:
    host = plane.add_host()
    plane.register()
    plane.register("other")
    arns = {plane.run(startedBy="me")["taskArn"] for _ in range(3)}
    other = plane.run("other")["taskArn"]
    plane.ecs.stop_task(task=other)
    pages = plane.ecs.get_paginator("list_tasks").paginate(PaginationConfig={"PageSize": 2})
    assert {arn for page in pages for arn in page["taskArns"]} == arns
    assert plane.ecs.list_tasks(desiredStatus="STOPPED")["taskArns"] == [other]
    assert set(plane.ecs.list_tasks(startedBy="me")["taskArns"]) == arns
    assert set(plane.ecs.list_tasks(family="t", containerInstance=host)["taskArns"]) == arns
    assert plane.ecs.list_tasks(family="none")["taskArns"] == []


def test_overrides_are_kept_and_count_for_the_reservation(plane: TasksPlane) -> None:
    host = plane.add_host()
    plane.register()
    overrides = {"containerOverrides": [{"name": "main", "command": ["x"], "memory": 100}]}
    task = plane.run(overrides=overrides)
    assert task["overrides"]["containerOverrides"] == overrides["containerOverrides"]
    assert plane.free(host)["MEMORY"] == 924


def test_an_override_of_an_unknown_container_is_refused(plane: TasksPlane) -> None:
    plane.register()
    with pytest.raises(plane.ecs.exceptions.InvalidParameterException, match="not a container in the TaskDefinition"):
        plane.ecs.run_task(taskDefinition="t", overrides={"containerOverrides": [{"name": "no"}]})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"cpu": -1}, "'cpu' must be between 0"),
        ({"memory": 4}, "'memory' must be at least 6 MiB"),
        ({"memory": -64}, "'memory' must be at least 6 MiB"),
        ({"memoryReservation": 65}, "'memory' must not be less than 'memoryReservation'"),
        ({"environment": [{"value": "of what"}]}, "invalid environment variable name"),
    ],
)
def test_an_override_that_cannot_be_is_refused(plane: TasksPlane, override: dict[str, Any], message: str) -> None:
    host = plane.add_host()
    plane.register()
    with pytest.raises(plane.ecs.exceptions.ClientException, match=message):
        plane.ecs.run_task(taskDefinition="t", overrides={"containerOverrides": [{"name": "main", **override}]})
    assert plane.free(host) == {"CPU": 1024, "MEMORY": 1024}


def test_distinct_instance_spreads_a_group(plane: TasksPlane) -> None:
    hosts = {plane.add_host(), plane.add_host()}
    plane.register()
    answer = plane.ecs.run_task(taskDefinition="t", count=3, placementConstraints=[{"type": "distinctInstance"}])
    assert {task["containerInstanceArn"] for task in answer["tasks"]} == hosts
    assert len(answer["failures"]) == 2


def test_an_awsvpc_task_has_an_address_before_it_runs(plane: TasksPlane) -> None:
    plane.add_host()
    plane.register("v", networkMode="awsvpc")
    task = plane.run("v", networkConfiguration=NETWORK)
    details = {detail["name"]: detail["value"] for detail in task["attachments"][0]["details"]}
    assert details["privateIPv4Address"] == "10.9.0.2"
    assert task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] == "10.9.0.2"
    assert not [name for name in details if name.startswith("berth.")]
    with pytest.raises(plane.ecs.exceptions.InvalidParameterException, match="Network Configuration must be provided"):
        plane.ecs.run_task(taskDefinition="v")


def test_a_fargate_task_waits_for_its_own_host_and_gets_it(plane: TasksPlane) -> None:
    plane.register("f", {"name": "main", "image": "i:1"}, **FARGATE)
    task = plane.run("f", launchType="FARGATE", networkConfiguration=NETWORK)
    assert (task["lastStatus"], task["platformVersion"]) == ("PROVISIONING", "1.4.0")
    assert "containerInstanceArn" not in task
    stopped = plane.ecs.stop_task(task=task["taskArn"])["task"]
    assert stopped["lastStatus"] == "DEPROVISIONING"


def test_fargate_sizes_are_checked_with_their_overrides(plane: TasksPlane) -> None:
    plane.register("f", {"name": "main", "image": "i:1"}, **FARGATE)
    with pytest.raises(plane.ecs.exceptions.ClientException, match="No Fargate configuration exists"):
        plane.ecs.run_task(
            taskDefinition="f",
            launchType="FARGATE",
            networkConfiguration=NETWORK,
            overrides={"cpu": "256", "memory": "9999"},
        )


@pytest.mark.parametrize("count", [0, 11])
def test_run_task_takes_one_to_ten(plane: TasksPlane, count: int) -> None:
    plane.register()
    with pytest.raises(plane.ecs.exceptions.InvalidParameterException):
        plane.ecs.run_task(taskDefinition="t", count=count)


def test_a_report_of_one_container_reaches_the_task(plane: TasksPlane) -> None:
    plane.add_host()
    plane.register("v", networkMode="awsvpc")
    task = plane.run("v", networkConfiguration=NETWORK)
    plane.ecs.submit_container_state_change(task=task["taskArn"], containerName="main", status="RUNNING", runtimeId="r")
    container = plane.task(task["taskArn"])["containers"][0]
    assert (container["lastStatus"], container["runtimeId"]) == ("RUNNING", "r")


def test_a_report_of_an_unknown_task_is_refused(plane: TasksPlane) -> None:
    with pytest.raises(plane.ecs.exceptions.InvalidParameterException):
        plane.ecs.submit_task_state_change(task="f" * 32, status="RUNNING")


def test_a_task_that_cannot_be_told_ends_and_takes_no_other_with_it(plane: TasksPlane) -> None:
    host = plane.add_host()
    plane.register()
    good, bad = plane.run()["taskArn"], plane.run()["taskArn"]

    def spoil(session: Session) -> None:
        # As a bug, or an older Berth, might have left it.
        session.get_one(Task, bad.rsplit("/", 1)[-1]).containers = []

    plane.store.transact(spoil)
    talk = Conversation(plane.store, plane.clock, plane.settings, host.rsplit("/", 1)[-1])
    [news] = talk.news()
    told = json.loads(news)["message"]["tasks"]
    assert [task["arn"] for task in told] == [good]
    ended = plane.task(bad)
    assert (ended["lastStatus"], ended["stopCode"]) == ("STOPPED", "TaskFailedToStart")
    assert ended["stoppedReason"].startswith("ResourceInitializationError")
    assert plane.free(host)["MEMORY"] == 1024 - 64
