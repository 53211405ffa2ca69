"""The json protocol (1.0 and 1.1): one path, the operation in ``X-Amz-Target``, JSON both ways."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from botocore.model import OperationModel, ServiceModel

from kit.aws.errors import SerializationException
from kit.aws.http import HttpRequest, HttpResponse
from kit.aws.protocols.base import Refusal, Wire
from kit.aws.writing import Writers

# Over these protocols AWS answers 400 to what elsewhere is a 403.
_PLAIN_400 = frozenset(
    {
        "MissingAuthenticationTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "UnrecognizedClientException",
        "ExpiredTokenException",
        "AccessDeniedException",
    }
)


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class JsonWire(Wire):
    """json 1.0 and 1.1, as the model says."""

    def __init__(self, model: ServiceModel, *, strict: bool = False) -> None:
        super().__init__(model, strict=strict)
        self.writers = Writers(self.mismatches)
        self._content_type = f"application/x-amz-json-{model.metadata.get('jsonVersion', '1.0')}"

    def tree(self, request: HttpRequest, operation: OperationModel) -> dict[str, Any]:
        return parse_object(request.body)

    def answer(self, operation: OperationModel, result: Mapping[str, Any], request_id: str) -> HttpResponse:
        body = b""
        if operation.output_shape is not None:
            write = self.writers.writer(operation.output_shape)
            body = render(write(result) if write is not None else result)
        elif result:
            self.mismatches.report(f"{operation.name} has no output, yet was answered {sorted(result)}")
        return HttpResponse(status=200, headers=self._headers(request_id), body=body)

    def _refuse(self, refusal: Refusal, request_id: str) -> HttpResponse:
        body = error_body(refusal, self.writers)
        status = 400 if refusal.facts is None and refusal.code in _PLAIN_400 else refusal.status
        headers = (*self._headers(request_id), ("x-amzn-ErrorType", refusal.code))
        return HttpResponse(status=status, headers=headers, body=render(body))

    def _headers(self, request_id: str) -> tuple[tuple[str, str], ...]:
        return (("Content-Type", self._content_type), ("x-amzn-RequestId", request_id))


def error_body(refusal: Refusal, writers: Writers) -> dict[str, Any]:
    """``__type``, the message under its modelled name, and the further members of the error's shape."""
    name = refusal.facts.message_member if refusal.facts is not None else "message"
    body: dict[str, Any] = {"__type": refusal.code, name: refusal.message}
    if refusal.facts is not None and refusal.members:
        write = writers.writer(refusal.facts.shape)
        body.update(write(refusal.members) if write is not None else refusal.members)
    return body


def render(tree: Any) -> bytes:
    """JSON in ASCII, without blanks; a NaN or an infinity raises ValueError."""
    return _encode(tree).encode("ascii")


def parse(body: bytes) -> Any:
    """JSON as RFC 8259 has it: UTF-8, no NaN, no lone surrogates. Raises SerializationException."""
    try:
        text = body.decode("utf-8-sig")
        tree = json.loads(text, parse_constant=_no_constant)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(tree, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise SerializationException("The request body is nested too deeply") from None
    except ValueError as wrong:
        # Decoding errors and integers beyond Python's limit of digits are ValueErrors too.
        where = f" at character {wrong.pos}" if isinstance(wrong, json.JSONDecodeError) else ""
        raise SerializationException(f"The request body is not valid JSON{where}") from None
    return tree


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; an empty body is an empty one."""
    if not body.strip():
        return {}
    tree = parse(body)
    if type(tree) is not dict:
        raise SerializationException("The request body is not a JSON object")
    return tree


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
