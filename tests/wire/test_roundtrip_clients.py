"""Unmodified boto3 clients against the gateway: typed exceptions, waiters, paginators, presigned requests, sessions."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from kit.aws.errors import AwsError, CodedError, InternalFailure, ServiceUnavailable
from kit.aws.gateway import Gateway
from kit.aws.http import HttpRequest
from kit.aws.paging import page
from kit.aws.service import Service
from kit.clock import SystemClock
from tests.support.aws_requests import ROOT_KEY, bound, gateway_of


class Raw(io.BytesIO):
    """A body as botocore expects urllib3 to hand it over."""

    def stream(self, **_: Any) -> Any:
        yield self.getvalue()


def client(name: str, gateway: Gateway, *, key: Any = ROOT_KEY, retries: int = 1) -> Any:
    """A boto3 client whose requests go to the gateway without a socket in between."""
    made = boto3.session.Session().client(
        name,
        region_name="us-east-1",
        endpoint_url="http://berth.example:7070",
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret,
        aws_session_token=key.session_token,
        config=Config(retries={"total_max_attempts": retries, "mode": "standard"}),
    )

    def deliver(request: Any, **_: Any) -> AWSResponse:
        parts = urlsplit(request.url)
        headers = [
            (header, value if isinstance(value, str) else value.decode()) for header, value in request.headers.items()
        ]
        body = request.body or b""
        response = gateway.handle(
            HttpRequest(
                method=request.method,
                path=parts.path,
                query=parts.query,
                headers=[("Host", parts.netloc), *headers],
                body=body.encode() if isinstance(body, str) else bytes(body),
            )
        )
        lower = {header.lower(): value for header, value in response.headers}
        return AWSResponse(request.url, response.status, lower, Raw(response.body))

    made.meta.events.register("before-send", deliver)
    return made


def raising(error: AwsError) -> Callable[[Any, dict[str, Any]], None]:
    def handler(call: Any, request: dict[str, Any]) -> None:
        raise error

    return handler


def answering(service: Service, clock: Any = None) -> Gateway:
    return gateway_of(service, clock=clock or SystemClock())


@pytest.mark.parametrize(
    ("service", "operation", "params", "error"),
    [
        ("ecs", "stop_task", {"task": "x"}, "InvalidParameterException"),
        ("ecs", "describe_tasks", {"tasks": ["x"]}, "ClusterNotFoundException"),
        ("ecr", "describe_repositories", {}, "RepositoryNotFoundException"),
        ("batch", "describe_jobs", {"jobs": ["x"]}, "ClientException"),
        ("scheduler", "get_schedule", {"Name": "x"}, "ResourceNotFoundException"),
        ("logs", "get_log_events", {"logGroupName": "g", "logStreamName": "s"}, "ResourceNotFoundException"),
        ("sts", "assume_role", {"RoleArn": "a" * 20, "RoleSessionName": "me"}, "RegionDisabledException"),
        ("application-autoscaling", "describe_scalable_targets", {"ServiceNamespace": "ecs"}, "ValidationException"),
    ],
)
def test_typed_exceptions_are_raised(service: str, operation: str, params: dict[str, Any], error: str) -> None:
    gateway = answering(bound(service, raising(CodedError(error, "The reason."))))
    caller = client(service, gateway)

    with pytest.raises(getattr(caller.exceptions, error)) as caught:
        getattr(caller, operation)(**params)

    assert caught.value.response["Error"]["Code"] == error
    assert caught.value.response["Error"]["Message"] == "The reason."


def test_further_members_of_an_error_arrive() -> None:
    error = CodedError("InvalidSequenceTokenException", "Wrong.", expectedSequenceToken="49")
    logs = client("logs", answering(bound("logs", raising(error))))

    with pytest.raises(logs.exceptions.InvalidSequenceTokenException) as caught:
        logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=[{"timestamp": 1, "message": "m"}])

    assert caught.value.response["expectedSequenceToken"] == "49"


@pytest.mark.parametrize("error", [InternalFailure, ServiceUnavailable])
def test_the_servers_faults_are_retried_and_the_callers_are_not(error: type[AwsError]) -> None:
    tries: list[int] = []

    def handler(call: Any, request: dict[str, Any]) -> dict[str, Any]:
        tries.append(1)
        if len(tries) == 1:
            raise error
        return {"clusterArns": ["a"]}

    assert client("ecs", answering(bound("ecs", handler)), retries=2).list_clusters()["clusterArns"] == ["a"]

    ecs = Service("ecs")
    caller = client("ecs", answering(ecs), retries=5)
    with pytest.raises(ClientError) as caught:
        caller.list_clusters()
    assert caught.value.response["Error"]["Code"] == "UnsupportedOperationException"
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0


def test_paginators_and_waiters_run() -> None:
    arns = [f"arn:aws:ecs:us-east-1:123456789012:task/default/{i:02}" for i in range(25)]
    ecs = Service("ecs")
    looks: list[int] = []

    @ecs.operation("ListTasks")
    def list_tasks(call: Any, request: dict[str, Any]) -> dict[str, Any]:
        limit, token = request.get("maxResults", 100), request.get("nextToken")
        given, more = page(arns, key=str, limit=limit, token=token, scope="ListTasks")
        return {"taskArns": given, "nextToken": more}

    @ecs.operation("DescribeTasks")
    def describe_tasks(call: Any, request: dict[str, Any]) -> dict[str, Any]:
        looks.append(1)
        return {"tasks": [{"taskArn": arn, "lastStatus": "RUNNING"} for arn in request["tasks"]], "failures": []}

    caller = client("ecs", answering(ecs))
    pages = list(caller.get_paginator("list_tasks").paginate(PaginationConfig={"PageSize": 10}))
    caller.get_waiter("tasks_running").wait(tasks=arns[:2])

    assert [arn for one in pages for arn in one["taskArns"]] == arns
    assert [len(one["taskArns"]) for one in pages] == [10, 10, 5]
    assert len(looks) == 1


def test_idempotency_tokens_that_boto3_makes_up_reach_the_handler() -> None:
    tokens: list[str | None] = []
    caller = client("ecs", answering(bound("ecs", lambda call, request: tokens.append(call.client_token))))

    caller.run_task(taskDefinition="web")
    caller.run_task(taskDefinition="web", clientToken="mine")
    caller.list_clusters()

    assert len(tokens[0] or "") == 36
    assert tokens[1:] == ["mine", None]


def test_instants_and_blobs_arrive_as_they_left() -> None:
    at = datetime(2026, 3, 29, 1, 30, 15, 250000, tzinfo=UTC)
    seen: list[Any] = []

    def handler(call: Any, request: dict[str, Any]) -> dict[str, Any]:
        seen.append(request["StartDate"])
        return {"ScheduleArn": "arn:aws:scheduler:us-east-1:123456789012:schedule/default/s"}

    target = {"Arn": "arn:aws:ecs:us-east-1:123456789012:cluster/c", "RoleArn": "arn:aws:iam::123456789012:role/r"}
    client("scheduler", answering(bound("scheduler", handler))).create_schedule(
        Name="s",
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow={"Mode": "OFF"},
        StartDate=at,
        Target=target,
    )

    assert seen == [at]


def test_a_session_key_is_let_in_until_it_expires() -> None:
    key = replace(ROOT_KEY, access_key_id="ASIAEXAMPLE", session_token="a/token+with=all")
    gateway = gateway_of(bound("sts", lambda call, request: {"Account": "123456789012"}), clock=SystemClock(), key=key)
    assert client("sts", gateway, key=key).get_caller_identity()["Account"] == "123456789012"

    spent = replace(key, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    gateway = gateway_of(bound("sts", lambda call, request: None), clock=SystemClock(), key=spent)
    with pytest.raises(ClientError) as caught:
        client("sts", gateway, key=key).get_caller_identity()
    assert caught.value.response["Error"]["Code"] == "ExpiredToken"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_presigned_url_of_boto3_needs_no_further_signature(method: str) -> None:
    gateway = answering(bound("sts", lambda call, request: {"Account": "123456789012"}))
    url = client("sts", gateway).generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod=method)
    parts = urlsplit(url)

    response = gateway.handle(
        HttpRequest(method=method, path=parts.path, query=parts.query, headers={"Host": parts.netloc})
    )

    assert response.status == 200 and b"<Account>123456789012</Account>" in response.body
