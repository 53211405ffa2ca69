"""What the server asks of input: types, required members, enums, ranges, lengths, patterns, in AWS's words."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.model import ServiceModel

from kit.aws.errors import AwsError, SerializationException
from kit.aws.http import HttpRequest
from kit.aws.model import load_model
from kit.aws.protocols import wire_of

CODES = {
    "ecs": "InvalidParameterException",
    "ecr": "InvalidParameterException",
    "logs": "InvalidParameterException",
    "batch": "ClientException",
    "scheduler": "ValidationException",
    "application-autoscaling": "ValidationException",
}


def read(service: str, operation: str, body: Any, **more: Any) -> dict[str, Any]:
    model = load_model(service)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = HttpRequest(**{"method": "POST", "path": "/", "body": raw, **more})
    return wire_of(model, strict=True).read(request, model.operation_model(operation))


def refused(service: str, operation: str, body: Any, **more: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        read(service, operation, body, **more)
    return caught.value


def test_an_enum_names_its_values() -> None:
    error = refused("ecs", "RunTask", {"taskDefinition": "web", "launchType": "CLOUD"})
    assert error.code == "InvalidParameterException"
    values = ", ".join(load_model("ecs").shape_for("LaunchType").enum)
    assert error.message == (
        "1 validation error detected: Value 'CLOUD' at 'launchType' failed to satisfy constraint: "
        f"Member must satisfy enum value set: [{values}]"
    )


def test_all_that_is_wrong_is_told_at_once_with_its_place() -> None:
    containers = [{"name": "a"}, {"name": "b", "dependsOn": [{"condition": "HAPPY"}]}]
    error = refused("ecs", "RegisterTaskDefinition", {"containerDefinitions": containers})
    assert error.message.startswith("3 validation errors detected: ")
    place = "containerDefinitions.2.member.dependsOn.1.member"
    assert (
        f"Value 'HAPPY' at '{place}.condition' failed to satisfy constraint: Member must satisfy enum" in error.message
    )
    assert (
        f"Value null at '{place}.containerName' failed to satisfy constraint: Member must not be null" in error.message
    )
    assert "Value null at 'family' failed" in error.message


@pytest.mark.parametrize(
    ("service", "operation", "body", "words"),
    [
        ("ecr", "DescribeRepositories", {"maxResults": 0}, "at 'maxResults' .*value greater than or equal to 1"),
        ("ecr", "DescribeRepositories", {"maxResults": 1001}, "value less than or equal to 1000"),
        ("ecr", "CreateRepository", {"repositoryName": "UPPER"}, "'UPPER' at 'repositoryName' .*pattern"),
        ("ecr", "CreateRepository", {"repositoryName": "a"}, "length greater than or equal to 2"),
        ("logs", "CreateLogGroup", {"logGroupName": "x" * 513}, "length less than or equal to 512"),
        (
            "logs",
            "PutLogEvents",
            {"logGroupName": "g", "logStreamName": "s", "logEvents": []},
            "at 'logEvents' .*length",
        ),
        ("batch", "SubmitJob", {"jobName": "a", "jobQueue": "q"}, "null at 'jobDefinition'"),
        ("application-autoscaling", "DescribeScalableTargets", {"ServiceNamespace": "x"}, "at 'serviceNamespace'"),
    ],
)
def test_each_service_refuses_with_its_own_code(service: str, operation: str, body: dict[str, Any], words: str) -> None:
    error = refused(service, operation, body)
    assert error.code == CODES[service]
    assert re.search(words, error.message)


def test_labels_and_query_strings_are_checked_like_bodies() -> None:
    error = refused("scheduler", "GetSchedule", b"", method="GET", path="/schedules/a%20b")
    assert error.code == "ValidationException" and "'a b' at 'name'" in error.message
    error = refused("scheduler", "ListSchedules", b"", method="GET", path="/schedules", query="MaxResults=101")
    assert "at 'maxResults'" in error.message
    with pytest.raises(SerializationException):
        read("scheduler", "ListSchedules", b"", method="GET", path="/schedules", query="MaxResults=many")


def test_a_form_is_checked_too() -> None:
    form = b"Action=AssumeRole&RoleArn=x&Tags.member.1.Key=team"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    error = refused("sts", "AssumeRole", form, headers=headers)
    assert error.code == "ValidationError"
    assert "'x' at 'roleArn'" in error.message
    assert "null at 'roleSessionName'" in error.message
    assert "null at 'tags.1.member.value'" in error.message


@pytest.mark.parametrize(
    "container",
    [
        {"image": 7},
        {"image": True},
        {"image": ["a"]},
        {"image": {"a": 1}},
        {"cpu": "1"},
        {"cpu": 1.5},
        {"cpu": True},
        {"cpu": 2**31},
        {"cpu": -(10**40)},
        {"essential": "true"},
        {"essential": 1},
        {"command": "sh"},
        {"command": {"0": "sh"}},
        {"command": ["sh", None]},
        {"dockerLabels": ["a"]},
        {"dockerLabels": {"a": 1}},
        {"environment": [["a", "b"]]},
        {"linuxParameters": "none"},
    ],
)
def test_a_value_of_the_wrong_type_is_a_serialization_exception(container: dict[str, Any]) -> None:
    body = {"family": "web", "containerDefinitions": [{"name": "a", **container}]}
    with pytest.raises(SerializationException):
        read("ecs", "RegisterTaskDefinition", body)


def test_a_whole_number_may_be_spelled_with_a_point_and_nulls_are_absent() -> None:
    container = {"name": "a", "cpu": 128.0, "memory": None, "dockerLabels": {"a": "b", "c": None}, "unheardOf": [None]}
    seen = read("ecs", "RegisterTaskDefinition", {"family": "web", "containerDefinitions": [container]})
    assert seen["containerDefinitions"] == [{"name": "a", "cpu": 128, "dockerLabels": {"a": "b"}}]
    assert type(seen["containerDefinitions"][0]["cpu"]) is int


@pytest.mark.parametrize(
    ("service", "operation", "body"),
    [
        ("ecs", "RegisterTaskDefinition", {"family": "w", "taskRoleArn": "", "containerDefinitions": [], "tags": []}),
        ("ecs", "RunTask", {"taskDefinition": "w", "overrides": {"containerOverrides": []}, "tags": []}),
        (
            "ecs",
            "CreateService",
            {
                "serviceName": "s",
                "networkConfiguration": {"awsvpcConfiguration": {"subnets": [], "securityGroups": []}},
                "loadBalancers": [],
            },
        ),
        (
            "batch",
            "CreateComputeEnvironment",
            {"computeEnvironmentName": "c", "type": "MANAGED", "serviceRole": "", "tags": {}},
        ),
        ("batch", "SubmitJob", {"jobName": "j", "jobQueue": "q", "jobDefinition": "d", "tags": {}, "parameters": {}}),
        ("logs", "CreateLogGroup", {"logGroupName": "g", "tags": {}}),
        ("logs", "FilterLogEvents", {"logGroupName": "g", "logStreamNames": []}),
    ],
)
def test_empty_values_that_real_clients_send_pass(service: str, operation: str, body: dict[str, Any]) -> None:
    assert read(service, operation, body) == body


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"7",
        b"\xff\xfe",
        b'{"cluster": NaN}',
        b'{"cluster": Infinity}',
        b'{"cluster": "\\ud800"}',
        b'{"cluster": "\xed\xa0\x80"}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"cluster": "a"} x',
        b"{'cluster': 'a'}",
    ],
)
def test_what_is_not_json_is_a_serialization_exception(body: bytes) -> None:
    with pytest.raises(SerializationException):
        read("ecs", "ListTasks", body)


def test_a_nul_is_refused_but_in_log_lines() -> None:
    assert "NUL" in refused("ecs", "ListTasks", {"cluster": "a\0b"}).message
    events = [{"timestamp": 1, "message": "a\0b"}]
    body = {"logGroupName": "g", "logStreamName": "s", "logEvents": events}
    assert read("logs", "PutLogEvents", body)["logEvents"] == events


def test_a_union_holds_exactly_one_member() -> None:
    model = ServiceModel(
        {
            "metadata": {"protocol": "json", "jsonVersion": "1.1", "targetPrefix": "T", "apiVersion": "x"},
            "operations": {
                "Do": {"name": "Do", "http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "In"}}
            },
            "shapes": {
                "In": {"type": "structure", "members": {"One": {"shape": "U"}, "Any": {"shape": "D"}}},
                "U": {"type": "structure", "union": True, "members": {"a": {"shape": "S"}, "b": {"shape": "In"}}},
                "D": {"type": "structure", "document": True, "members": {}},
                "S": {"type": "string", "sensitive": True, "max": 3},
            },
        },
        "test",
    )
    wire, operation = wire_of(model), model.operation_model("Do")

    def tried(body: Any) -> dict[str, Any]:
        return wire.read(HttpRequest(method="POST", path="/", body=json.dumps(body).encode()), operation)

    nested = {"One": {"b": {"One": {"b": {"One": {"a": "x"}}}}}}
    assert tried(nested) == nested
    assert tried({"Any": {"x": [1, None, {"y": True}]}}) == {"Any": {"x": [1, None, {"y": True}]}}
    for bad in ({"a": "x", "b": {}}, {}, {"c": 1}):
        with pytest.raises(SerializationException):
            tried({"One": bad})
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    for bad in (deep, {"a": float("1e308") * 10}):
        with pytest.raises(SerializationException):
            tried({"Any": bad})
    with pytest.raises(AwsError) as caught:
        tried({"One": {"a": "a secret"}})
    assert "a secret" not in caught.value.message
    endless: Any = {}
    for _ in range(100):
        endless = {"One": {"b": endless}}
    assert tried(endless) == endless


def test_timestamps_are_read_in_every_spelling() -> None:
    for spelled in (1700000000.123, "1700000000.123", "2023-11-14T22:13:20.123Z", "2023-11-14T23:13:20.123+01:00"):
        seen = read("ecs", "SubmitTaskStateChange", {"task": "t", "pullStartedAt": spelled})
        assert seen["pullStartedAt"] == datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC)
    seen = read("ecs", "SubmitTaskStateChange", {"pullStartedAt": "Tue, 14 Nov 2023 22:13:20 GMT"})
    assert seen["pullStartedAt"] == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    for wrong in ("soon", True, [], 1e300, -1e300, "9" * 400, "2023-13-01T00:00:00Z", ""):
        with pytest.raises(SerializationException):
            read("ecs", "SubmitTaskStateChange", {"pullStartedAt": wrong})


def test_where_the_documentation_is_more_generous_than_the_model_so_is_berth() -> None:
    job = {"jobDefinitionName": "j", "type": "container"}
    retry = {"attempts": 2, "evaluateOnExit": [{"action": "exit", "onExitCode": "1"}]}
    assert read("batch", "RegisterJobDefinition", {**job, "retryStrategy": retry})["retryStrategy"] == retry
    retry["evaluateOnExit"] = [{"action": "leave"}]
    assert (
        "at 'retryStrategy.evaluateOnExit.1.member.action'"
        in refused("batch", "RegisterJobDefinition", {**job, "retryStrategy": retry}).message
    )

    ports = [{"containerPort": 80, "protocol": protocol} for protocol in ("udp", "tcp", "TCP", "")]
    seen = read("ecs", "RegisterTaskDefinition", {"family": "w", "containerDefinitions": [{"portMappings": ports}]})
    assert [port["protocol"] for port in seen["containerDefinitions"][0]["portMappings"]] == [
        "udp",
        "tcp",
        "tcp",
        "tcp",
    ]
