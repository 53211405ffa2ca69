"""Network interfaces of tasks through boto3: how far agents say they are, and that they go with their tasks."""

from uuid import UUID

import pytest

from tests.support.tasks import NETWORK, TasksPlane


@pytest.fixture
def interface(plane: TasksPlane) -> tuple[str, dict[str, str]]:
    """A task in awsvpc mode, and its attachment's ARN as the member of a report."""
    plane.add_host()
    plane.register("v", networkMode="awsvpc")
    task = plane.run("v", networkConfiguration=NETWORK)
    [attachment] = task["attachments"]
    assert attachment["status"] == "PRECREATED"
    return task["taskArn"], {"attachmentArn": f"arn:aws:ecs:us-east-1:123456789012:attachment/{attachment['id']}"}


def interface_status(plane: TasksPlane, task: str) -> str:
    [attachment] = plane.task(task)["attachments"]
    return str(attachment["status"])


@pytest.mark.parametrize("alone", [True, False])
def test_agents_say_how_far_a_network_interface_is(
    plane: TasksPlane, interface: tuple[str, dict[str, str]], alone: bool
) -> None:
    task, its = interface

    def say(status: str) -> str:
        told = [{**its, "status": status}]
        if alone:
            plane.ecs.submit_attachment_state_changes(attachments=told)
        else:
            plane.ecs.submit_task_state_change(task=task, attachments=told)
        return interface_status(plane, task)

    assert say("ATTACHING") == "ATTACHING"
    assert say("ATTACHED") == say("ATTACHED") == "ATTACHED"
    assert say("ATTACHING") == "ATTACHED"
    assert plane.task(task)["lastStatus"] == "PENDING"
    plane.report(task, "RUNNING")
    assert say("DETACHED") == say("ATTACHED") == "DETACHED"
    plane.report(task, "STOPPED")
    assert say("ATTACHED") == "DELETED"


def test_an_interface_goes_with_its_task_where_nobody_tells_of_it(
    plane: TasksPlane, interface: tuple[str, dict[str, str]]
) -> None:
    task, _ = interface
    plane.ecs.submit_container_state_change(task=task, containerName="main", status="PENDING", runtimeId="r")
    assert interface_status(plane, task) == "ATTACHING"
    plane.report(task, "RUNNING")
    assert interface_status(plane, task) == "ATTACHED"
    plane.report(task, "STOPPED")
    assert interface_status(plane, task) == "DELETED"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "attached"}, "The attachment status 'attached' is none of ATTACHING, ATTACHED"),
        ({"status": "DELETED"}, "The attachment status 'DELETED' is none of"),
        ({"status": ""}, "The attachment status '' is none of"),
        ({"attachmentArn": "arn:aws:ecs:us-east-1:123456789012:attachment/nonsense"}, "was not found"),
        ({"attachmentArn": f"arn:aws:ecs:us-east-1:123456789012:attachment/{UUID(int=7)}"}, "was not found"),
    ],
)
def test_a_report_of_an_attachment_that_cannot_be_is_refused_whole(
    plane: TasksPlane, interface: tuple[str, dict[str, str]], change: dict[str, str], message: str
) -> None:
    task, its = interface
    told = [{**its, "status": "ATTACHED", **change}]
    with pytest.raises(plane.ecs.exceptions.ClientError, match=message) as refused:
        plane.ecs.submit_attachment_state_changes(attachments=told)
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"
    with pytest.raises(plane.ecs.exceptions.ClientError, match=message):
        plane.ecs.submit_task_state_change(task=task, status="RUNNING", attachments=told)
    assert plane.task(task)["lastStatus"] == "PENDING"
    assert interface_status(plane, task) == "PRECREATED"
