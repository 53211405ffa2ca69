"""EventBridge Scheduler through a real boto3 client: schedules and their groups."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orchestrator.api.scheduler import scheduler
from tests.support.schedules import CLUSTER, ECS, OFF, ROLE, RUN_TASK, SUBMIT_JOB, Berth, create


@pytest.fixture
def embedded(sqlite_url: str, tmp_path: Path) -> Iterator[Berth]:
    """For what never reaches the store, so that the database makes no difference."""
    berth = Berth(sqlite_url, tmp_path)
    yield berth
    berth.close()


def test_a_schedule_is_described_as_it_was_created_with_aws_defaults(berth: Berth, client: Any) -> None:
    arn = create(client, Description="tea", ScheduleExpression="cron(0 16 ? * MON-FRI *)")
    assert arn == "arn:aws:scheduler:us-east-1:123456789012:schedule/default/s"
    got = client.get_schedule(Name="s")
    assert got["Arn"] == arn
    assert (got["GroupName"], got["State"], got["Description"]) == ("default", "ENABLED", "tea")
    assert (got["ScheduleExpressionTimezone"], got["ActionAfterCompletion"]) == ("UTC", "NONE")
    assert got["Target"] == {
        **ECS,
        "RetryPolicy": {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185},
    }
    assert abs(got["CreationDate"] - berth.clock.now()) < timedelta(seconds=1)
    assert not {"StartDate", "EndDate", "KmsKeyArn"} & got.keys()


def test_start_and_end_come_back(berth: Berth, client: Any) -> None:
    start = berth.clock.now().replace(microsecond=0) + timedelta(hours=1)
    create(client, StartDate=start, EndDate=start + timedelta(days=1))
    got = client.get_schedule(Name="s")
    assert (got["StartDate"], got["EndDate"]) == (start, start + timedelta(days=1))


def test_a_name_is_taken_once_in_a_group(client: Any) -> None:
    create(client)
    with pytest.raises(client.exceptions.ConflictException, match="Schedule s already exists"):
        create(client)
    client.create_schedule_group(Name="other")
    create(client, GroupName="other")
    with pytest.raises(client.exceptions.ConflictException):
        client.create_schedule_group(Name="other")
    with pytest.raises(client.exceptions.ConflictException):
        client.create_schedule_group(Name="default")


def test_a_repeated_create_with_its_token_answers_the_same(client: Any) -> None:
    assert create(client, ClientToken="once") == create(client, ClientToken="once")
    with pytest.raises(client.exceptions.ConflictException):
        create(client, name="another", ClientToken="once")


def test_what_is_absent_is_not_found(client: Any) -> None:
    missing = client.exceptions.ResourceNotFoundException
    with pytest.raises(missing, match="Schedule s does not exist"):
        client.get_schedule(Name="s")
    with pytest.raises(missing):
        client.delete_schedule(Name="s")
    with pytest.raises(missing):
        client.update_schedule(Name="s", ScheduleExpression="rate(1 hour)", FlexibleTimeWindow=OFF, Target=ECS)
    with pytest.raises(missing, match="Schedule group g does not exist"):
        create(client, GroupName="g")
    for call in (client.get_schedule_group, client.delete_schedule_group):
        with pytest.raises(missing):
            call(Name="g")
    with pytest.raises(missing):
        client.list_schedules(GroupName="g")
    with pytest.raises(missing):
        client.list_tags_for_resource(ResourceArn="arn:aws:scheduler:us-east-1:123456789012:schedule-group/g")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"ScheduleExpression": "every day"}, "Invalid Schedule Expression every day"),
        ({"ScheduleExpression": "rate(0 minutes)"}, "positive"),
        ({"ScheduleExpression": "cron(0 12 * * * *)"}, "Invalid Schedule Expression"),
        ({"ScheduleExpression": "at(2020-01-01T00:00:00)"}, "has passed"),
        ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "Unknown time zone"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "needs MaximumWindowInMinutes"),
        ({"FlexibleTimeWindow": {"Mode": "OFF", "MaximumWindowInMinutes": 5}}, "takes no MaximumWindowInMinutes"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1441}}, "less than or equal to 1440"),
        ({"StartDate": datetime(2020, 1, 1, tzinfo=UTC)}, "cannot be earlier than 5 minutes ago"),
        ({"EndDate": datetime(2020, 1, 1, tzinfo=UTC)}, "must be in the future"),
        ({"KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1"}, "KMS"),
        ({"Name": "with space"}, "regular expression"),
        ({"Target": {**ECS, "RetryPolicy": {"MaximumRetryAttempts": 186}}}, "less than or equal to 185"),
        ({"Target": {"Arn": CLUSTER, "RoleArn": ROLE}}, "needs EcsParameters"),
        ({"Target": {**ECS, "Input": "{"}}, "not valid JSON"),
        ({"Target": {**ECS, "Input": "[" * 90000}}, "not valid JSON"),
        ({"Target": {**ECS, "Input": "[]"}}, "must be a JSON object"),
        ({"Target": {**ECS, "Input": '{"containerOverride": []}'}}, "has no member 'containerOverride'"),
        ({"Target": {**ECS, "Input": '{"containerOverrides": 7}'}}, "not a request of RunTask"),
        ({"Target": {**ECS, "SqsParameters": {"MessageGroupId": "g"}}}, "SqsParameters"),
        ({"Target": {"Arn": "arn:aws:lambda:us-east-1:123456789012:function:f", "RoleArn": ROLE}}, "cannot call"),
        ({"Target": {"Arn": "arn:aws:batch:us-east-1:123456789012:job-queue/q", "RoleArn": ROLE}}, "batch:submitJob"),
        ({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "RoleArn": ROLE}}, "cannot call sqs"),
        ({"Target": {"Arn": "nonsense", "RoleArn": ROLE}}, "cannot call the target nonsense"),
        ({"Target": {"Arn": SUBMIT_JOB, "RoleArn": ROLE}}, "needs Input"),
        ({"Target": {"Arn": SUBMIT_JOB, "RoleArn": ROLE, "Input": '{"JobName": "j"}'}}, "not a request of SubmitJob"),
        ({"Target": {"Arn": SUBMIT_JOB, "RoleArn": ROLE, "Input": '{"JobNme": "j"}'}}, "has no member 'JobNme'"),
        ({"Target": {**ECS, "Arn": RUN_TASK, "Input": "{}"}}, "not EcsParameters"),
    ],
)
def test_what_could_never_work_is_refused_when_it_is_written(embedded: Berth, asked: dict[str, Any], told: str) -> None:
    client = embedded.client("scheduler", parameter_validation=False)
    with pytest.raises(client.exceptions.ValidationException, match=told):
        client.create_schedule(
            **{
                "Name": "s",
                "ScheduleExpression": "rate(1 hour)",
                "FlexibleTimeWindow": OFF,
                "Target": ECS,
                **asked,
            }
        )
    assert client.list_schedules()["Schedules"] == []


def test_a_start_after_the_end_is_refused(berth: Berth, client: Any) -> None:
    start = berth.clock.now() + timedelta(days=2)
    with pytest.raises(client.exceptions.ValidationException, match="must come before"):
        create(client, StartDate=start, EndDate=start - timedelta(days=1))


def test_a_caller_cannot_schedule_what_it_may_not_call(berth: Berth) -> None:
    client = berth.client("scheduler", berth.narrow)
    with pytest.raises(ClientError, match=r"AccessDenied.*not authorized to perform: ecs:RunTask through a schedule"):
        create(client)
    job = json.dumps({"JobName": "j", "JobQueue": "q", "JobDefinition": "d"})
    create(client, Target={"Arn": SUBMIT_JOB, "RoleArn": ROLE, "Input": job})


def test_schedules_are_listed_by_group_prefix_and_state_over_pages(client: Any) -> None:
    client.create_schedule_group(Name="Z")
    for group, name in (("default", "b-2"), ("Z", "b-1"), ("default", "a"), ("Z", "c"), ("default", "B")):
        create(client, name, GroupName=group, State="DISABLED" if name == "c" else "ENABLED")

    def listed(**asked: Any) -> list[str]:
        pages = client.get_paginator("list_schedules").paginate(PaginationConfig={"PageSize": 2}, **asked)
        return [f"{found['GroupName']}/{found['Name']}" for page in pages for found in page["Schedules"]]

    assert listed() == ["Z/b-1", "Z/c", "default/B", "default/a", "default/b-2"]
    assert listed(GroupName="default") == ["default/B", "default/a", "default/b-2"]
    assert listed(NamePrefix="b") == ["Z/b-1", "default/b-2"]
    assert listed(State="DISABLED") == ["Z/c"]
    assert client.list_schedules()["Schedules"][0]["Target"] == {"Arn": CLUSTER}
    with pytest.raises(client.exceptions.ValidationException):
        client.list_schedules(NextToken="nonsense")
    with pytest.raises(client.exceptions.ValidationException):
        client.list_schedule_groups(NextToken="nonsense")


def test_the_default_group_is_always_there_and_stays(client: Any) -> None:
    for name in ("zeta", "alpha"):
        client.create_schedule_group(Name=name)

    def listed(**asked: Any) -> list[str]:
        pages = client.get_paginator("list_schedule_groups").paginate(PaginationConfig={"PageSize": 1}, **asked)
        return [group["Name"] for page in pages for group in page["ScheduleGroups"]]

    assert listed() == ["alpha", "default", "zeta"]
    create(client)
    assert listed() == ["alpha", "default", "zeta"]
    assert listed(NamePrefix="z") == ["zeta"]
    assert client.get_schedule_group(Name="default")["State"] == "ACTIVE"
    with pytest.raises(client.exceptions.ValidationException, match="default schedule group cannot be deleted"):
        client.delete_schedule_group(Name="default")


def test_a_group_goes_with_its_schedules(client: Any) -> None:
    client.create_schedule_group(Name="g")
    create(client, "in", GroupName="g")
    create(client, "out")
    client.delete_schedule_group(Name="g")
    assert [found["Name"] for found in client.list_schedules()["Schedules"]] == ["out"]


def test_groups_carry_tags(client: Any) -> None:
    arn = client.create_schedule_group(Name="g", Tags=[{"Key": "a", "Value": "1"}])["ScheduleGroupArn"]
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "3"}])
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == [
        {"Key": "a", "Value": "3"},
        {"Key": "b", "Value": "2"},
    ]
    client.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    default = "arn:aws:scheduler:us-east-1:123456789012:schedule-group/default"
    assert client.list_tags_for_resource(ResourceArn=default)["Tags"] == []
    client.tag_resource(ResourceArn=default, Tags=[{"Key": "a", "Value": "1"}])
    assert client.list_tags_for_resource(ResourceArn=default)["Tags"] == [{"Key": "a", "Value": "1"}]


def test_every_operation_of_the_model_is_built() -> None:
    assert scheduler.absent() == []
    assert len(scheduler.operations) == 12
