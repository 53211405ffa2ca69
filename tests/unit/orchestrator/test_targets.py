"""Targets: how EcsParameters and Input become a request, and that no input breaks more than itself."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.aws.errors import ValidationException
from orchestrator.api.scheduler.targets import Aim, read_aim
from scheduler.loops.invocation import Invocation

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/default"
RUN_TASK = "arn:aws:scheduler:::aws-sdk:ecs:runTask"
SUBMIT_JOB = "arn:aws:scheduler:::aws-sdk:batch:submitJob"
TOKEN = "0123456789abcdef0123456789abcdef"


def aim(target: dict[str, Any]) -> Aim:
    return read_aim(
        Invocation(
            token=TOKEN,
            schedule_arn="arn:aws:scheduler:us-east-1:123456789012:schedule/default/tea",
            scheduled_at=datetime(2030, 1, 1, tzinfo=UTC),
            attempt=2,
            target=target,
        )
    )


def test_ecs_parameters_become_a_run_task() -> None:
    parameters = {
        "TaskDefinitionArn": "web:3",
        "TaskCount": 2,
        "LaunchType": "FARGATE",
        "NetworkConfiguration": {
            "awsvpcConfiguration": {"Subnets": ["a"], "SecurityGroups": ["b"], "AssignPublicIp": "DISABLED"}
        },
        "PlatformVersion": "LATEST",
        "Group": "g",
        "EnableECSManagedTags": True,
        "EnableExecuteCommand": False,
        "PlacementConstraints": [{"type": "distinctInstance"}],
        "PlacementStrategy": [{"type": "spread", "field": "instanceId"}],
        "PropagateTags": "TASK_DEFINITION",
        "ReferenceId": "r",
        "Tags": [{"key": "a", "value": "1"}, {"Key": "b", "Value": "2"}, {"c": "3", "d": "4"}],
    }
    wanted = aim({"Arn": CLUSTER, "EcsParameters": parameters, "Input": '{"cpu": "<aws.scheduler.attempt-number>"}'})
    assert wanted.action == "ecs:RunTask"
    assert wanted.request == {
        "cluster": CLUSTER,
        "taskDefinition": "web:3",
        "count": 2,
        "launchType": "FARGATE",
        "networkConfiguration": {
            "awsvpcConfiguration": {"subnets": ["a"], "securityGroups": ["b"], "assignPublicIp": "DISABLED"}
        },
        "platformVersion": "LATEST",
        "group": "g",
        "enableECSManagedTags": True,
        "enableExecuteCommand": False,
        "placementConstraints": [{"type": "distinctInstance"}],
        "placementStrategy": [{"type": "spread", "field": "instanceId"}],
        "propagateTags": "TASK_DEFINITION",
        "referenceId": "r",
        "tags": [{"key": key, "value": value} for key, value in zip("abcd", "1234", strict=True)],
        "overrides": {"cpu": "2"},
        "startedBy": "chronos-schedule/tea",
        "clientToken": TOKEN,
    }


def test_the_keys_of_a_map_are_the_clients_own() -> None:
    request = {"JobName": "j", "JobQueue": "q", "JobDefinition": "d", "Parameters": {"Key": "v"}}
    assert aim({"Arn": SUBMIT_JOB, "Input": json.dumps(request)}).request == {
        "jobName": "j",
        "jobQueue": "q",
        "jobDefinition": "d",
        "parameters": {"Key": "v"},
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["TaskDefinition", "count", "Overrides", "tags", "cluster", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from([RUN_TASK, SUBMIT_JOB]), JSON)
def test_any_input_is_a_request_or_is_refused(arn: str, value: Any) -> None:
    try:
        wanted = aim({"Arn": arn, "Input": json.dumps(value)})
    except ValidationException:
        return
    assert wanted.request["taskDefinition"]


@pytest.mark.parametrize(
    "text",
    [
        '{"TaskDefinition": "x", "Overrides": ' + '{"containerOverrides": [' * 1000 + "]}" * 1000 + "}",
        "[" * 100_000,
        '{"TaskDefinition": "\\ud800"}',
        '{"TaskDefinition": "\\u0000"}',
        '{"TaskDefinition": "x", "Count": 1e999}',
        '{"TaskDefinition": "x", "Count": NaN}',
        "",
    ],
)
def test_hostile_input_is_refused(text: str) -> None:
    with pytest.raises(ValidationException):
        aim({"Arn": RUN_TASK, "Input": text})
