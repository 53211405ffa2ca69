"""The cluster query language through boto3: where tasks may go, and which hosts are listed."""

from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.tasks import TasksPlane


def member_of(expression: str) -> list[dict[str, str]]:
    return [{"type": "memberOf", "expression": expression}]


def listed(plane: TasksPlane, expression: str, **members: Any) -> Sequence[str]:
    found: Sequence[str] = plane.ecs.list_container_instances(filter=expression, **members)["containerInstanceArns"]
    return found


def test_run_task_goes_where_the_expression_says(plane: TasksPlane) -> None:
    plane.add_host(rack="1")
    second = plane.add_host(rack="12")
    plane.register()
    for _ in range(3):
        task = plane.run(placementConstraints=member_of("attribute:rack > 9 and attribute:gpu !exists"))
        assert task["containerInstanceArn"] == second
    answer = plane.ecs.run_task(taskDefinition="t", placementConstraints=member_of("attribute:rack == 7"))
    assert answer["tasks"] == []
    assert {failure["reason"] for failure in answer["failures"]} == {"MemberOf placement constraint unsatisfied."}


def test_a_task_definitions_constraint_holds_for_every_run_of_it(plane: TasksPlane) -> None:
    plane.add_host(rack="1")
    second = plane.add_host(rack="2")
    plane.register(placementConstraints=member_of("attribute:rack in [2, 3]"))
    assert plane.run()["containerInstanceArn"] == second
    described = plane.ecs.describe_task_definition(taskDefinition="t")["taskDefinition"]
    assert described["placementConstraints"] == member_of("attribute:rack in [2, 3]")


def test_tasks_join_and_avoid_other_groups(plane: TasksPlane) -> None:
    hosts = {plane.add_host(rack="1"), plane.add_host(rack="2")}
    plane.register()
    database = plane.run(group="database")["containerInstanceArn"]
    (other,) = hosts - {database}
    for _ in range(2):
        assert plane.run(placementConstraints=member_of("task:group == database"))["containerInstanceArn"] == database
        away = plane.run(group="web", placementConstraints=member_of("not (task:group == database)"))
        assert away["containerInstanceArn"] == other


@pytest.mark.parametrize("operation", ["run_task", "create_service", "update_service"])
def test_a_bad_expression_is_refused_with_the_place_of_the_mistake(plane: TasksPlane, operation: str) -> None:
    plane.register()
    members: dict[str, Any] = {"taskDefinition": "t"}
    if operation == "create_service":
        members |= {"serviceName": "web", "desiredCount": 1}
    if operation == "update_service":
        plane.ecs.create_service(serviceName="web", taskDefinition="t", desiredCount=1)
        members = {"service": "web"}
    with pytest.raises(ClientError) as refused:
        getattr(plane.ecs, operation)(**members, placementConstraints=member_of("attribute:rack = 7"))
    error = refused.value.response["Error"]
    assert error["Code"] == "InvalidParameterException"
    assert "at position 15: expected an operator (==, !=, >, >=, <, <=, in, !in, " in error["Message"]
    assert error["Message"].endswith("found '='.")


def test_hosts_are_listed_by_what_they_are(plane: TasksPlane) -> None:
    first, second = plane.add_host(rack="1"), plane.add_host(rack="2")
    assert listed(plane, "attribute:rack >= 2") == [second]
    assert set(listed(plane, "agentConnected == true and registeredAt > 2001-01-01")) == {first, second}
    assert listed(plane, "ec2InstanceId =~ .+") == []
    plane.ecs.update_container_instances_state(containerInstances=[second], status="DRAINING")
    assert listed(plane, "attribute:rack exists", status="DRAINING") == [second]


def test_hosts_are_listed_by_the_tasks_that_run_there(plane: TasksPlane) -> None:
    hosts = {plane.add_host(), plane.add_host()}
    plane.register()
    task = plane.run(group="database")
    (other,) = hosts - {task["containerInstanceArn"]}
    assert listed(plane, "task:group == database") == [task["containerInstanceArn"]]
    assert set(listed(plane, "runningTasksCount == 0")) == hosts
    plane.report(task["taskArn"], "RUNNING")
    assert listed(plane, "runningTasksCount == 0") == [other]


def test_a_filtered_list_has_pages(plane: TasksPlane) -> None:
    for rack in range(5):
        plane.add_host(rack=str(rack))
    pages = plane.ecs.get_paginator("list_container_instances").paginate(
        filter="attribute:rack != 2", PaginationConfig={"PageSize": 2}
    )
    arns = [arn for page in pages for arn in page["containerInstanceArns"]]
    assert len(set(arns)) == len(arns) == 4


def test_a_bad_filter_is_refused_with_the_place_of_the_mistake(plane: TasksPlane) -> None:
    with pytest.raises(plane.ecs.exceptions.InvalidParameterException, match=r"at position 24: expected a subject"):
        listed(plane, "attribute:rack exists or")
