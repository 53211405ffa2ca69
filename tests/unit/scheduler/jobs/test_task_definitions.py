"""A job as an ECS task: what its task definition says, and where it logs."""

from datetime import UTC, datetime
from typing import Any

import pytest

from scheduler.jobs.starting import task_overrides
from scheduler.jobs.task_definitions import log_configuration, log_stream_name, task_definition_body
from state.jobs import Job, Submission

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def submission(container: dict[str, Any], *, platform: str = "EC2", **members: Any) -> Submission:
    usual = {"id": "s", "name": "n", "queue": "q", "definition_name": "work", "definition_revision": 3}
    usual |= {"parameters": {}, "created_at": NOW, "container": {"image": "busybox", **container}}
    return Submission(**{**usual, "platform": platform, **members})


JOB = Job(id="s", cpu=512, memory=1024)


def test_an_ec2_job_reserves_by_container_and_bridges() -> None:
    body = task_definition_body(submission({"user": "nobody", "jobRoleArn": "arn:r"}), JOB, region="us-east-1")
    container = body["containerDefinitions"][0]
    assert (container["name"], container["cpu"], container["memory"]) == ("default", 512, 1024)
    assert (container["user"], container["essential"], body["networkMode"]) == ("nobody", True, "bridge")
    assert body["taskRoleArn"] == "arn:r"
    assert "cpu" not in body


def test_a_fargate_job_has_its_size_on_the_task_and_an_address() -> None:
    body = task_definition_body(submission({}, platform="FARGATE"), JOB, region="us-east-1")
    assert (body["cpu"], body["memory"], body["networkMode"]) == ("512", "1024", "awsvpc")
    assert body["requiresCompatibilities"] == ["FARGATE"]


def test_jobs_log_to_batchs_own_group_unless_told_otherwise() -> None:
    given = submission({})
    assert log_configuration(given, region="eu-west-1") == {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": "/aws/batch/job",
            "awslogs-create-group": "true",
            "awslogs-region": "eu-west-1",
            "awslogs-stream-prefix": "work",
        },
    }
    assert log_stream_name(given, "t1") == "work/default/t1"


@pytest.mark.parametrize(
    ("options", "stream"),
    [
        ({"awslogs-stream-prefix": "mine"}, "mine/default/t1"),
        ({"awslogs-group": "/my/group"}, "work/default/t1"),
    ],
)
def test_log_options_of_the_definition_win(options: dict[str, str], stream: str) -> None:
    given = submission({"logConfiguration": {"logDriver": "awslogs", "options": options}})
    assert log_stream_name(given, "t1") == stream
    assert options.items() <= log_configuration(given, region="us-east-1")["options"].items()


def test_a_job_that_logs_elsewhere_has_no_stream() -> None:
    given = submission({"logConfiguration": {"logDriver": "json-file"}})
    assert log_stream_name(given, "t1") is None


def test_a_job_without_a_command_runs_what_the_image_says() -> None:
    assert task_overrides(submission({"command": []})) == {"containerOverrides": [{"name": "default"}]}


def test_parameters_go_into_the_command_once() -> None:
    given = submission({"command": ["Ref::a", "x-Ref::b", "Ref::missing"]}, parameters={"a": "Ref::b", "b": "2"})
    override = task_overrides(given)["containerOverrides"][0]
    assert override["command"] == ["Ref::b", "x-2", "Ref::missing"]
