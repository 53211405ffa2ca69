"""Every operation of every service there and back: botocore writes and Berth reads, Berth writes and botocore reads."""

import zlib
from typing import Any

import pytest
from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.model import OperationModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from kit.aws.errors import CodedError
from kit.aws.http import HttpRequest, HttpResponse
from kit.aws.model import load_model
from kit.aws.protocols import wire_of
from kit.aws.protocols.base import Wire
from tests.support.shape_values import ShapeValues

SERVICES = ("ecs", "ecr", "logs", "batch", "scheduler", "sts", "application-autoscaling")
OPERATIONS = [(name, operation) for name in SERVICES for operation in load_model(name).operation_names]
# Their answers are event streams, which have a test of their own.
STREAMS = [("logs", "GetLogObject"), ("logs", "StartLiveTail")]
ANSWERED = [pair for pair in OPERATIONS if pair not in STREAMS]
WIRES = {name: wire_of(load_model(name), strict=True) for name in SERVICES}
DRAWS = ((1, 0.0), (2, 0.5), (3, 1.0))


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_berth_reads_what_botocore_writes(service: str, name: str) -> None:
    wire, operation = WIRES[service], load_model(service).operation_model(name)
    for seed, optional in DRAWS:
        params = draw(operation.input_shape, f"{service}{name}", seed, optional)

        assert wire.read(written_by_botocore(wire, operation, params), operation) == params


@pytest.mark.parametrize(("service", "name"), ANSWERED)
def test_botocore_reads_what_berth_writes(service: str, name: str) -> None:
    wire, operation = WIRES[service], load_model(service).operation_model(name)
    for seed, optional in DRAWS:
        result = draw(operation.output_shape, f"{service}{name}", seed, optional)

        seen = read_by_botocore(wire, wire.answer(operation, result, "an-id"), operation.output_shape)

        assert seen.pop("ResponseMetadata")["RequestId"] == "an-id"
        assert seen == result


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_botocore_recognises_every_declared_error(service: str, name: str) -> None:
    wire, operation = WIRES[service], load_model(service).operation_model(name)
    for shape in operation.error_shapes:
        members = draw(shape, f"{service}{shape.name}", 1, 1.0)
        members = {member: value for member, value in members.items() if member.lower() != "message"}

        response = wire.refuse(operation, CodedError(shape.error_code, "Said so.", **members), "an-id")

        seen = read_by_botocore(wire, response, operation.output_shape)
        assert seen["Error"]["Code"] == shape.error_code
        assert seen["Error"]["Message"] == "Said so."
        assert seen["ResponseMetadata"]["RequestId"] == "an-id"
        assert seen["ResponseMetadata"]["HTTPStatusCode"] == response.status >= 400
        known = operation.service_model.shape_for_error_code(seen["Error"]["Code"])
        assert known is not None and known.name == shape.name
        if wire.model.metadata["protocol"] != "query":
            modelled = read_by_botocore(wire, response, known)
            assert {member: modelled.get(member) for member in members} == members


def draw(shape: Any, name: str, seed: int, optional: float) -> dict[str, Any]:
    if shape is None:
        return {}
    hollow = not name.startswith("sts")
    drawn = ShapeValues(zlib.crc32(name.encode()) + seed, optional=optional, hollow=hollow).value(shape)
    assert isinstance(drawn, dict)
    return drawn


def written_by_botocore(wire: Wire, operation: OperationModel, params: dict[str, Any]) -> HttpRequest:
    serializer = create_serializer(wire.model.metadata["protocol"])
    parts = serializer.serialize_to_request(params, operation)
    prepare_request_dict(parts, endpoint_url="http://berth.example:7070", context={})
    sent = create_request_object(parts).prepare()
    path, _, query = sent.url.removeprefix("http://").partition("/")[2].partition("?")
    body = sent.body or b""
    return HttpRequest(
        method=sent.method,
        path=f"/{path}",
        query=query,
        headers=[(key, value if isinstance(value, str) else value.decode()) for key, value in sent.headers.items()],
        body=body.encode() if isinstance(body, str) else bytes(body),
    )


def read_by_botocore(wire: Wire, response: HttpResponse, shape: Any) -> dict[str, Any]:
    parser = create_parser(wire.model.metadata["protocol"])
    headers = {name.lower(): value for name, value in response.headers}
    raw = {"status_code": response.status, "headers": headers, "body": response.body}
    seen = parser.parse(raw, shape)
    assert isinstance(seen, dict)
    return seen
