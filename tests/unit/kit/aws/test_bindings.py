"""Bindings that today's services use little or not at all, with a model made for it: botocore is the other side."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from kit.aws.errors import CodedError, SerializationException
from kit.aws.http import HttpRequest, HttpResponse
from kit.aws.protocols import wire_of
from kit.aws.writing import ModelMismatch

SHAPES: dict[str, Any] = {
    "String": {"type": "string"},
    "Integer": {"type": "integer"},
    "Double": {"type": "double"},
    "Boolean": {"type": "boolean"},
    "Instant": {"type": "timestamp"},
    "IsoInstant": {"type": "timestamp", "timestampFormat": "iso8601"},
    "Blob": {"type": "blob"},
    "Strings": {"type": "list", "member": {"shape": "String"}},
    "NamedStrings": {"type": "list", "member": {"shape": "String", "locationName": "item"}},
    "FlatStrings": {"type": "list", "flattened": True, "member": {"shape": "String"}},
    "FlatNamed": {"type": "list", "flattened": True, "member": {"shape": "String", "locationName": "Flatly"}},
    "Map": {"type": "map", "key": {"shape": "String"}, "value": {"shape": "String"}},
    "MapOfLists": {"type": "map", "key": {"shape": "String"}, "value": {"shape": "Strings"}},
    "FlatMap": {
        "type": "map",
        "flattened": True,
        "key": {"shape": "String", "locationName": "Name"},
        "value": {"shape": "Integer", "locationName": "Number"},
    },
    "Tree": {
        "type": "structure",
        "members": {"value": {"shape": "String", "locationName": "Wert"}, "branches": {"shape": "Trees"}},
    },
    "Trees": {"type": "list", "member": {"shape": "Tree"}},
    "Located": {
        "type": "structure",
        "required": ["label"],
        "members": {
            "label": {"shape": "String", "location": "uri", "locationName": "Label"},
            "rest": {"shape": "String", "location": "uri", "locationName": "Rest"},
            "number": {"shape": "Integer", "location": "querystring", "locationName": "n"},
            "flag": {"shape": "Boolean", "location": "querystring", "locationName": "flag"},
            "since": {"shape": "Instant", "location": "querystring", "locationName": "since"},
            "many": {"shape": "Strings", "location": "querystring", "locationName": "many"},
            "others": {"shape": "MapOfLists", "location": "querystring"},
            "when": {"shape": "Instant", "location": "header", "locationName": "X-When"},
            "ratio": {"shape": "Double", "location": "header", "locationName": "X-Ratio"},
            "meta": {"shape": "Map", "location": "headers", "locationName": "X-Meta-"},
            "body": {"shape": "Tree"},
        },
    },
    "BlobIn": {"type": "structure", "payload": "body", "members": {"body": {"shape": "Blob"}}},
    "TextIn": {"type": "structure", "payload": "body", "members": {"body": {"shape": "String"}}},
    "TreeIn": {
        "type": "structure",
        "payload": "body",
        "members": {
            "body": {"shape": "Tree"},
            "status": {"shape": "Integer", "location": "statusCode"},
            "when": {"shape": "Instant", "location": "header", "locationName": "X-When"},
            "meta": {"shape": "Map", "location": "headers", "locationName": "X-Meta-"},
            "flag": {"shape": "Boolean", "location": "header", "locationName": "X-Flag"},
        },
    },
    "Form": {
        "type": "structure",
        "members": {
            "Strings": {"shape": "Strings"},
            "Named": {"shape": "NamedStrings"},
            "Flat": {"shape": "FlatStrings"},
            "FlatNamed": {"shape": "FlatNamed"},
            "Map": {"shape": "Map"},
            "FlatMap": {"shape": "FlatMap"},
            "Tree": {"shape": "Tree"},
            "Blob": {"shape": "Blob"},
            "At": {"shape": "Instant"},
            "Flag": {"shape": "Boolean"},
            "Ratio": {"shape": "Double"},
        },
    },
    "Broken": {
        "type": "structure",
        "exception": True,
        "error": {"code": "Broken.Thing", "httpStatusCode": 418},
        "members": {"message": {"shape": "String"}, "Tree": {"shape": "Tree"}},
    },
}


def model_of(protocol: str, shape: str, uri: str = "/") -> ServiceModel:
    operation = {
        "name": "Do",
        "http": {"method": "PUT" if "{" in uri else "POST", "requestUri": uri},
        "input": {"shape": shape},
        "output": {"shape": shape, "resultWrapper": "DoResult"},
        "errors": [{"shape": "Broken"}],
    }
    metadata = {"protocol": protocol, "jsonVersion": "1.1", "targetPrefix": "T", "apiVersion": "1"}
    metadata["xmlNamespace"] = "urn:made-up"
    return ServiceModel({"metadata": metadata, "operations": {"Do": operation}, "shapes": SHAPES}, "made-up")


def written_and_read(model: ServiceModel, params: dict[str, Any]) -> dict[str, Any]:
    operation = model.operation_model("Do")
    parts = create_serializer(model.metadata["protocol"]).serialize_to_request(params, operation)
    prepare_request_dict(parts, endpoint_url="http://berth.example", context={})
    sent = create_request_object(parts).prepare()
    path, _, query = sent.url.removeprefix("http://berth.example").partition("?")
    body = sent.body or b""
    request = HttpRequest(
        method=sent.method,
        path=path,
        query=query,
        headers=[(key, value if isinstance(value, str) else value.decode()) for key, value in sent.headers.items()],
        body=body.encode() if isinstance(body, str) else bytes(body),
    )
    return wire_of(model, strict=True).read(request, operation)


def parsed(model: ServiceModel, response: HttpResponse) -> dict[str, Any]:
    headers = HeadersDict(response.headers)
    raw = {"status_code": response.status, "headers": headers, "body": response.body}
    seen = create_parser(model.metadata["protocol"]).parse(raw, model.operation_model("Do").output_shape)
    assert isinstance(seen, dict)
    return seen


AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
TREE = {"value": "a", "branches": [{"value": "ü&<>"}, {"branches": []}]}


def test_every_place_of_a_rest_request() -> None:
    model = model_of("rest-json", "Located", "/x/{Label}/y/{Rest+}")
    params = {
        "label": "a/b c%",
        "rest": "d/e f",
        "number": -7,
        "flag": False,
        "since": AT,
        "many": ["x", "y&z", "ü"],
        "others": {"o1": ["p"], "o2": ["q", "r"]},
        "when": AT,
        "ratio": 0.25,
        "meta": {"one": "1", "two": "2"},
        "body": TREE,
    }
    assert written_and_read(model, params) == params


@pytest.mark.parametrize(
    ("shape", "params"),
    [
        ("BlobIn", {"body": b"\x00\xff"}),
        ("BlobIn", {"body": b""}),
        ("TextIn", {"body": "größe"}),
        ("TextIn", {}),
        ("TreeIn", {"body": TREE}),
        ("TreeIn", {"body": {}, "meta": {"a": "1"}}),
    ],
)
def test_payloads_in(shape: str, params: dict[str, Any]) -> None:
    assert written_and_read(model_of("rest-json", shape), params) == params


@pytest.mark.parametrize(
    ("shape", "result", "body"),
    [
        ("BlobIn", {"body": b"\x00\xff"}, b"\x00\xff"),
        ("BlobIn", {}, b""),
        ("TextIn", {"body": "größe"}, "größe".encode()),
        ("TreeIn", {"body": {"value": "a", "branches": None}}, b'{"Wert":"a"}'),
        ("TreeIn", {}, b"{}"),
    ],
)
def test_payloads_out(shape: str, result: dict[str, Any], body: bytes) -> None:
    model = model_of("rest-json", shape)
    assert wire_of(model, strict=True).answer(model.operation_model("Do"), result, "an-id").body == body


def test_headers_and_status_of_a_rest_answer() -> None:
    model = model_of("rest-json", "TreeIn")
    result = {"body": TREE, "status": 202, "when": AT, "meta": {"a": "1"}, "flag": True}

    response = wire_of(model, strict=True).answer(model.operation_model("Do"), result, "an-id")

    assert response.status == 202
    seen = parsed(model, response)
    assert {name: seen[name] for name in ("body", "status", "when", "flag")} == {
        name: result[name] for name in ("body", "status", "when", "flag")
    }
    assert response.header("x-meta-a") == "1"
    with pytest.raises(ModelMismatch):
        wire_of(model, strict=True).answer(model.operation_model("Do"), {"nope": 1}, "an-id")


def test_a_text_payload_that_is_not_utf_8_is_refused() -> None:
    model = model_of("rest-json", "TextIn")
    request = HttpRequest(method="POST", path="/", body=b"\xff")
    with pytest.raises(SerializationException):
        wire_of(model).read(request, model.operation_model("Do"))


FORM = {
    "Strings": ["a", ""],
    "Named": ["n", "m"],
    "Flat": [str(i) for i in range(12)],
    "FlatNamed": ["f"],
    "Map": {"k.1": "v", "": "w"},
    "FlatMap": {"x": 1, "y": -2},
    "Tree": {"value": "a", "branches": [{"value": "b&=+ %", "branches": [{"value": "ü<>"}]}, {"value": " "}]},
    "Blob": b"\x00\x01\xff",
    "At": AT,
    "Flag": True,
    "Ratio": -0.5,
}


def test_every_kind_of_form_field_and_of_xml_element() -> None:
    model = model_of("query", "Form")
    assert written_and_read(model, FORM) == FORM
    assert written_and_read(model, {"Strings": [], "Flat": [], "FlatNamed": []}) == {
        "Strings": [],
        "Flat": [],
        "FlatNamed": [],
    }

    response = wire_of(model, strict=True).answer(model.operation_model("Do"), FORM, "an-id")
    seen = parsed(model, response)
    assert seen.pop("ResponseMetadata")["RequestId"] == "an-id"
    assert seen == FORM
    for wrong in ({"Nope": 1}, {"Strings": "a"}, {"Flag": 1}, {"Ratio": "1"}):
        with pytest.raises(ModelMismatch):
            wire_of(model, strict=True).answer(model.operation_model("Do"), wrong, "an-id")


def test_control_characters_do_not_break_the_xml() -> None:
    model = model_of("query", "Form")
    response = wire_of(model).answer(model.operation_model("Do"), {"Strings": ["a\x00\x1b\ud800b\r\n"]}, "an-id")
    assert parsed(model, response)["Strings"] == ["a\ufffd\ufffd\ufffdb\r\n"]


@pytest.mark.parametrize("protocol", ["json", "rest-json", "query"])
def test_an_error_has_its_modelled_code_status_and_members(protocol: str) -> None:
    model = model_of(protocol, "TreeIn" if protocol == "rest-json" else "Form")
    error = CodedError("Broken.Thing", "It <broke>.", Tree={"value": "x"})

    response = wire_of(model, strict=True).refuse(model.operation_model("Do"), error, "an-id")

    seen = parsed(model, response)
    assert seen["ResponseMetadata"]["HTTPStatusCode"] == 418
    assert (seen["Error"]["Code"], seen["Error"]["Message"]) == ("Broken.Thing", "It <broke>.")
    if protocol != "query":
        assert json.loads(response.body)["Tree"] == {"Wert": "x"}
    with pytest.raises(ModelMismatch):
        stray = CodedError("Broken.Thing", "It broke.", Nope=1)
        wire_of(model, strict=True).refuse(model.operation_model("Do"), stray, "an-id")


def test_members_that_swap_their_names_on_the_wire_do_not_mix() -> None:
    shapes = {
        "String": {"type": "string"},
        "Swapped": {
            "type": "structure",
            "members": {"a": {"shape": "String", "locationName": "b"}, "b": {"shape": "String", "locationName": "a"}},
        },
    }
    operation = {"name": "Do", "http": {"method": "POST", "requestUri": "/"}, "output": {"shape": "Swapped"}}
    metadata = {"protocol": "json", "apiVersion": "1"}
    model = ServiceModel({"metadata": metadata, "operations": {"Do": operation}, "shapes": shapes}, "made-up")

    for strict in (True, False):
        response = wire_of(model, strict=strict).answer(model.operation_model("Do"), {"a": "1", "b": "2"}, "an-id")
        assert json.loads(response.body) == {"b": "1", "a": "2"}
