"""The gateway: every request gets an answer, in its own protocol, and nobody unsigned gets further than the door."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from kit.aws.errors import AwsError, InvalidParameterException
from kit.aws.gateway import Answered, Gateway, Invocation
from kit.aws.http import HttpRequest
from kit.aws.service import Service, UnknownOperationName
from kit.aws.sigv4 import Caller
from kit.aws.writing import ModelMismatch
from kit.clock import ManualClock
from tests.support.aws_requests import ROOT, ROOT_KEY, bound, form_call, gateway_of, json_call, signed, told


class TaskNotFound(InvalidParameterException):
    """The referenced task was not found."""


def test_a_call_reaches_its_handler_decoded_and_validated() -> None:
    ecs = Service("ecs")
    seen: list[Invocation] = []
    ecs.operation("RunTask")(lambda call, request: seen.append(call))

    params = {"taskDefinition": "web", "clientToken": "once", "count": None, "unheardOf": {"a": 1}}
    assert gateway_of(ecs).handle(json_call(ecs, "RunTask", params)).status == 200

    assert seen[0].params == {"taskDefinition": "web", "clientToken": "once"}
    assert (seen[0].operation, seen[0].readonly, seen[0].client_token) == ("RunTask", False, "once")
    assert (seen[0].caller, seen[0].at) == (ROOT, ManualClock().now())


def test_an_answer_carries_request_id_and_content_type_and_leaves_out_what_is_absent() -> None:
    ecs = Service("ecs")

    @ecs.operation("DescribeTasks")
    def describe_tasks(call: Invocation, request: dict[str, Any]) -> dict[str, Any]:
        return {"tasks": [{"taskArn": "an-arn", "cpu": None, "createdAt": call.at}], "failures": []}

    response = gateway_of(ecs).handle(json_call(ecs, "DescribeTasks", {"tasks": ["x"]}))

    assert response.status == 200
    assert response.header("content-type") == "application/x-amz-json-1.1"
    assert len(response.header("x-amzn-requestid") or "") == 36
    assert json.loads(response.body) == {
        "tasks": [{"taskArn": "an-arn", "createdAt": ManualClock().now().timestamp()}],
        "failures": [],
    }


def test_equal_parameters_have_equal_fingerprints_whatever_their_order() -> None:
    ecs = bound("ecs", lambda call, request: prints.append(call.fingerprint))
    prints: list[str] = []
    gateway = gateway_of(ecs)
    for params in (
        {"cluster": "a", "tasks": ["1"]},
        {"tasks": ["1"], "cluster": "a"},
        {"cluster": "b", "tasks": ["1"]},
    ):
        assert gateway.handle(json_call(ecs, "DescribeTasks", params)).status == 200

    assert prints[0] == prints[1] != prints[2]


def test_an_expected_error_is_told_with_its_code_status_and_members() -> None:
    ecs = Service("ecs")

    @ecs.operation("StopTask")
    def stop_task(call: Invocation, request: dict[str, Any]) -> None:
        raise TaskNotFound

    response = gateway_of(ecs).handle(json_call(ecs, "StopTask", {"task": "x"}))

    assert told(response) == (400, "InvalidParameterException", "The referenced task was not found.")


def test_an_unexpected_error_is_logged_and_told_without_detail(caplog: pytest.LogCaptureFixture) -> None:
    def broken(call: Invocation, request: dict[str, Any]) -> None:
        raise RuntimeError("password=hunter2")

    for service in (ecs := bound("ecs", broken), batch := bound("batch", broken), sts := bound("sts", broken)):
        gateway = gateway_of(service)
        with caplog.at_level(logging.ERROR):
            if service is ecs:
                response = gateway.handle(json_call(ecs, "ListClusters", {}))
            elif service is batch:
                response = gateway.handle(signed("batch", path="/v1/describejobs", body=b'{"jobs": []}'))
            else:
                response = gateway.handle(form_call(sts, "Action=GetCallerIdentity"))
        assert response.status == 500
        assert b"InternalFailure" in response.body
        assert b"hunter2" not in response.body and b"RuntimeError" not in response.body
    assert "hunter2" in caplog.text


def test_an_error_or_member_that_the_model_does_not_declare_fails_in_tests_and_is_logged_in_production(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Odd(AwsError):
        """Never heard of."""

    ecs = Service("ecs")

    @ecs.operation("ListClusters")
    def list_clusters(call: Invocation, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("nextToken"):
            raise Odd
        return {"clusterArns": [], "colour": "blue"}

    for params in ({}, {"nextToken": "x"}):
        with pytest.raises(ModelMismatch):
            gateway_of(ecs).handle(json_call(ecs, "ListClusters", params))

    lenient = Gateway(
        [ecs],
        find_key={ROOT_KEY.access_key_id: ROOT_KEY}.get,
        clock=ManualClock(),
        execute=lambda call: call.handler(call, call.params),
    )
    assert json.loads(lenient.handle(json_call(ecs, "ListClusters", {})).body) == {"clusterArns": []}
    assert told(lenient.handle(json_call(ecs, "ListClusters", {"nextToken": "x"})))[1] == "Odd"
    assert "colour" in caplog.text and "Odd" in caplog.text


def test_an_operation_that_is_not_built_says_so_by_name_and_is_listed_as_absent() -> None:
    ecs = Service("ecs")

    response = gateway_of(ecs).handle(json_call(ecs, "PutAccountSetting", {"name": "x", "value": "y"}))

    assert told(response) == (400, "UnsupportedOperationException", "Berth has not built ecs:PutAccountSetting.")
    assert "PutAccountSetting" in ecs.absent()


@pytest.mark.parametrize(
    "target", ["AmazonEC2ContainerServiceV20141113.Nope", "Nope.ListClusters", "ListClusters", "", "." * 10_000]
)
def test_an_operation_nobody_has_heard_of_is_unknown(target: str) -> None:
    ecs = bound("ecs", lambda call, request: None)

    response = gateway_of(ecs).handle(signed("ecs", headers={"X-Amz-Target": target}, body=b"{}"))

    assert told(response)[:2] == (400, "UnknownOperationException")


def test_binding_checks_the_name_at_import() -> None:
    ecs = Service("ecs")
    ecs.operation("StopTask")(lambda call, request: None)

    for wrong in ("StopTaks", "StopTask"):
        with pytest.raises(UnknownOperationName):
            ecs.operation(wrong)
    with pytest.raises(UnknownOperationName, match="event stream"):
        Service("logs").operation("StartLiveTail")


def test_reads_are_told_by_their_names_unless_said_otherwise() -> None:
    ecr = bound("ecr", lambda call, request: None)
    reads = {name for name, operation in ecr.operations.items() if operation.readonly}
    assert {"DescribeImages", "ListImages", "BatchGetImage", "BatchCheckLayerAvailability"} <= reads
    assert not {"PutImage", "BatchDeleteImage", "CreateRepository"} & reads

    other = Service("ecr")
    other.operation("GetAuthorizationToken", readonly=False)(lambda call, request: None)
    assert not other.operations["GetAuthorizationToken"].readonly


@pytest.mark.parametrize("name", ["ecs", "batch", "sts"])
def test_unsigned_requests_stop_at_the_door(name: str) -> None:
    service = bound(name, lambda call, request: pytest.fail("the handler was reached"))
    gateway = gateway_of(service)
    calls = {
        "ecs": json_call(service, "ListClusters", {}) if name == "ecs" else None,
        "batch": signed("batch", path="/v1/describejobs", body=b"{}"),
        "sts": form_call(service, "Action=GetCallerIdentity"),
    }
    request = calls[name]
    assert request is not None
    kept = [(header, value) for header, value in request.headers if header != "authorization"]
    response = gateway.handle(replace(request, headers=kept))

    assert 400 <= response.status < 500
    assert b"MissingAuthenticationToken" in response.body


def test_a_bad_signature_has_each_protocols_own_code() -> None:
    ecs, sts = bound("ecs", lambda call, request: None), bound("sts", lambda call, request: None)
    stranger = replace(ROOT_KEY, secret="other")

    assert told(gateway_of(ecs).handle(json_call(ecs, "ListClusters", {}, key=stranger)))[:2] == (
        400,
        "InvalidSignatureException",
    )
    response = gateway_of(sts).handle(form_call(sts, "Action=GetCallerIdentity", key=stranger))
    assert response.status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in response.body


def test_a_signature_for_one_service_opens_no_other() -> None:
    ecs = bound("ecs", lambda call, request: None)
    target = "AmazonEC2ContainerServiceV20141113.ListClusters"

    response = gateway_of(ecs).handle(signed("batch", headers={"X-Amz-Target": target}, body=b"{}"))

    assert told(response)[1] == "InvalidSignatureException"


def test_a_caller_whose_actions_do_not_cover_the_call_is_denied_before_its_input_is_looked_at() -> None:
    ecs = bound("ecs", lambda call, request: None)
    arn = "arn:aws:sts::123456789012:assumed-role/reader/x"
    caller = Caller(access_key_id="ASIA", principal_arn=arn, account="123456789012", actions=("ecs:Describe*",))
    key = replace(ROOT_KEY, access_key_id="ASIA", caller=caller)
    gateway = gateway_of(ecs, key=key)

    assert gateway.handle(json_call(ecs, "DescribeClusters", {}, key=key)).status == 200
    assert told(gateway.handle(json_call(ecs, "StopTask", {"task": 7}, key=key))) == (
        400,
        "AccessDeniedException",
        f"User: {arn} is not authorized to perform: ecs:StopTask",
    )


def test_whoever_observes_is_told_of_every_answer() -> None:
    seen: list[Answered] = []
    ecs = bound("ecs", lambda call, request: None)
    gateway = gateway_of(ecs, observe=seen.append)

    gateway.handle(json_call(ecs, "ListClusters", {}))
    gateway.handle(json_call(ecs, "ListClusters", {"maxResults": "many"}))
    gateway.handle(HttpRequest(method="GET", path="/"))

    assert [(one.service, one.operation, one.status, one.code) for one in seen] == [
        ("ecs", "ListClusters", 200, None),
        ("ecs", "ListClusters", 400, "SerializationException"),
        ("unknown", "unknown", 403, "MissingAuthenticationTokenException"),
    ]
    assert seen[0].access_key_id == "AKIDEXAMPLE" and seen[2].access_key_id is None


def test_rest_paths_find_their_operation_with_labels_decoded() -> None:
    calls: list[tuple[str, dict[str, Any]]] = []
    batch = bound("batch", lambda call, request: calls.append((call.operation, request)))
    scheduler = bound("scheduler", lambda call, request: calls.append((call.operation, request)))
    gateway = gateway_of(batch, scheduler)
    arn = "arn:aws:batch:us-east-1:123456789012:job-queue/a b"
    path = "/v1/tags/arn%3Aaws%3Abatch%3Aus-east-1%3A123456789012%3Ajob-queue%2Fa%20b"

    gateway.handle(signed("batch", method="GET", path=path))
    gateway.handle(signed("batch", path=path, body=b'{"resourceArn": "another", "tags": {"a": "b"}}'))
    gateway.handle(signed("batch", method="DELETE", path=path, query="tagKeys=a&tagKeys=b%20c"))
    gateway.handle(signed("scheduler", method="GET", path="/schedules", query="MaxResults=5&NamePrefix=x"))

    assert calls == [
        ("ListTagsForResource", {"resourceArn": arn}),
        ("TagResource", {"resourceArn": arn, "tags": {"a": "b"}}),
        ("UntagResource", {"resourceArn": arn, "tagKeys": ["a", "b c"]}),
        ("ListSchedules", {"MaxResults": 5, "NamePrefix": "x"}),
    ]
    for path in ("/v1/nope", "/v1/tags/", "/v1/tags/a/b", "/v1/tags/%ff", "/", "", "/%", "/../v1/describejobs"):
        assert told(gateway.handle(signed("batch", method="GET", path=path)))[0] == 400


def test_a_query_call_may_come_as_a_presignable_get() -> None:
    identity = {"UserId": "u", "Account": "123456789012", "Arn": "a<b>&"}
    sts = Service("sts")
    sts.operation("GetCallerIdentity")(lambda call, request: identity)

    response = gateway_of(sts).handle(signed("sts", method="GET", query="Action=GetCallerIdentity&Version=2011-06-15"))

    assert response.status == 200
    text = response.body.decode()
    assert text.startswith('<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">')
    assert "<GetCallerIdentityResult><UserId>u</UserId>" in text and "<Arn>a&lt;b&gt;&amp;</Arn>" in text
    assert "<ResponseMetadata><RequestId>" in text
