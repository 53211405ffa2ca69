"""The rest-json protocol: the input spread over path labels, query string, headers and a JSON body."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, unquote_plus

from botocore.model import OperationModel, ServiceModel, Shape, StructureShape

from kit.aws.errors import SerializationException
from kit.aws.http import HttpRequest, HttpResponse
from kit.aws.model import wire_name
from kit.aws.paths import match_path
from kit.aws.protocols.base import Refusal, Wire
from kit.aws.protocols.json import error_body, parse, parse_object, render
from kit.aws.scalars import scalar_from_text, write_blob, write_timestamp
from kit.aws.writing import Writers

_BODYLESS = ("blob", "string")


class RestJsonWire(Wire):
    """rest-json, with every binding the models know."""

    def __init__(self, model: ServiceModel, *, strict: bool = False) -> None:
        super().__init__(model, strict=strict)
        self.writers = Writers(self.mismatches)

    def tree(self, request: HttpRequest, operation: OperationModel) -> dict[str, Any]:
        shape = operation.input_shape
        if shape is None:
            return {}
        payload = shape.serialization.get("payload")
        located = {
            wire_name(member, name) for name, member in shape.members.items() if "location" in member.serialization
        }
        tree: dict[str, Any]
        if payload is not None:
            member = shape.members[payload]
            tree = self._payload(request.body, member, wire_name(member, payload))
        elif len(located) == len(shape.members):
            tree = {}
        else:
            tree = {name: value for name, value in parse_object(request.body).items() if name not in located}
        if located:
            tree.update(_located(request, operation, shape))
        return tree

    def _payload(self, body: bytes, member: Shape, name: str) -> dict[str, Any]:
        if member.type_name == "blob":
            return {name: body}
        if not body:
            return {}
        if member.type_name == "string":
            try:
                return {name: body.decode()}
            except UnicodeDecodeError:
                raise SerializationException("The request body is not valid UTF-8") from None
        return {name: parse(body)}

    def answer(self, operation: OperationModel, result: Mapping[str, Any], request_id: str) -> HttpResponse:
        status = int(operation.http.get("responseCode", 200))
        headers = [("Content-Type", "application/json"), ("x-amzn-RequestId", request_id)]
        shape = operation.output_shape
        if shape is None:
            if result:
                self.mismatches.report(f"{operation.name} has no output, yet was answered {sorted(result)}")
            return HttpResponse(status=status, headers=tuple(headers), body=b"{}")
        inside = {}
        for name, value in result.items():
            member = shape.members.get(name)
            if value is None or member is None or "location" not in member.serialization:
                inside[name] = value
                continue
            match member.serialization["location"]:
                case "statusCode":
                    status = int(value)
                case "header":
                    headers.append((wire_name(member, name), self._text(member, value)))
                case "headers":
                    prefix = member.serialization.get("name", "")
                    headers += [(prefix + key, str(item)) for key, item in value.items()]
        body = self._body(shape, inside)
        return HttpResponse(status=status, headers=tuple(headers), body=body)

    def _body(self, shape: StructureShape, inside: dict[str, Any]) -> bytes:
        payload = shape.serialization.get("payload")
        if payload is None:
            write = self.writers.writer(shape)
            return render(write(inside) if write is not None else inside)
        for name in inside.keys() - {payload}:
            self.mismatches.undeclared(shape, name)
        value, member = inside.get(payload), shape.members[payload]
        if value is None:
            return b"" if member.type_name in _BODYLESS else b"{}"
        if member.type_name in _BODYLESS:
            return value.encode() if isinstance(value, str) else bytes(value)
        write = self.writers.writer(member)
        return render(write(value) if write is not None else value)

    def _text(self, shape: Shape, value: Any) -> str:
        if shape.type_name == "timestamp":
            return str(write_timestamp(value, str(shape.serialization.get("timestampFormat", "rfc822")).lower()))
        if shape.type_name == "list":
            return ",".join(self._text(shape.member, item) for item in value)
        if shape.serialization.get("jsonvalue"):
            return write_blob(render(value))
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value)

    def _refuse(self, refusal: Refusal, request_id: str) -> HttpResponse:
        headers = (
            ("Content-Type", "application/json"),
            ("x-amzn-RequestId", request_id),
            ("x-amzn-ErrorType", refusal.code),
        )
        return HttpResponse(status=refusal.status, headers=headers, body=render(error_body(refusal, self.writers)))


def _located(request: HttpRequest, operation: OperationModel, shape: StructureShape) -> dict[str, Any]:
    labels = match_path(operation.http["requestUri"], request.path) or {}
    query = _query(request.query)
    bound_query = {
        wire_name(member, name)
        for name, member in shape.members.items()
        if member.serialization.get("location") == "querystring" and member.type_name != "map"
    }
    tree: dict[str, Any] = {}
    for name, member in shape.members.items():
        wire = wire_name(member, name)
        match member.serialization.get("location"):
            case "uri":
                if wire in labels:
                    tree[wire] = scalar_from_text(member.type_name, labels[wire])
            case "querystring" if member.type_name == "map":
                many = member.value.type_name == "list"
                rest = {key: values if many else values[0] for key, values in query.items() if key not in bound_query}
                if rest:
                    tree[wire] = rest
            case "querystring":
                if wire in query:
                    values = query[wire]
                    tree[wire] = (
                        [scalar_from_text(member.member.type_name, value) for value in values]
                        if member.type_name == "list"
                        else scalar_from_text(member.type_name, values[0])
                    )
            case "header":
                value = request.header(wire.lower())
                if value is not None:
                    tree[wire] = _from_header(member, value)
            case "headers":
                prefix = wire.lower()
                prefixed = {
                    header[len(prefix) :]: request.header(header)
                    for header in request.header_names()
                    if header.startswith(prefix)
                }
                if prefixed:
                    tree[wire] = prefixed
    return tree


def _query(query: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            found.setdefault(unquote_plus(name), []).append(_decoded(value))
    return found


def _decoded(text: str) -> str:
    try:
        return unquote(text.replace("+", " "), errors="strict")
    except UnicodeDecodeError:
        raise SerializationException("The query string is not valid UTF-8") from None


def _from_header(shape: Shape, text: str) -> Any:
    if shape.type_name == "list":
        return [scalar_from_text(shape.member.type_name, part.strip()) for part in text.split(",")]
    if shape.serialization.get("jsonvalue"):
        return text
    return scalar_from_text(shape.type_name, text)
