"""The query protocol: a form in, XML out. STS speaks it, as do IAM and the older services."""

from collections.abc import Mapping
from typing import Any

from botocore.model import OperationModel, ServiceModel

from kit.aws.errors import SerializationException
from kit.aws.forms import form_tree, parse_form
from kit.aws.http import HttpRequest, HttpResponse
from kit.aws.protocols.base import Refusal, Wire
from kit.aws.xml import XmlWriters, text_of

# The common errors have other names here than in the JSON protocols.
_NAMES = {
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ExpiredTokenException": "ExpiredToken",
    "AccessDeniedException": "AccessDenied",
    "UnknownOperationException": "InvalidAction",
    "UnsupportedOperationException": "UnsupportedOperation",
    "SerializationException": "MalformedInput",
    "ThrottlingException": "Throttling",
    "ValidationException": "ValidationError",
    "RequestEntityTooLargeException": "RequestEntityTooLarge",
}


class QueryWire(Wire):
    """query, with results in XML."""

    def __init__(self, model: ServiceModel, *, strict: bool = False) -> None:
        super().__init__(model, strict=strict)
        self.writers = XmlWriters(self.mismatches)
        self._namespace = str(model.metadata.get("xmlNamespace", ""))

    def tree(self, request: HttpRequest, operation: OperationModel) -> dict[str, Any]:
        if operation.input_shape is None:
            return {}
        return form_tree(form_fields(request), operation.input_shape)

    def answer(self, operation: OperationModel, result: Mapping[str, Any], request_id: str) -> HttpResponse:
        inner = ""
        shape = operation.output_shape
        if shape is not None:
            inner = self.writers.members(shape, dict(result))
            wrapper = shape.serialization.get("resultWrapper")
            if wrapper:
                inner = f"<{wrapper}>{inner}</{wrapper}>"
        elif result:
            self.mismatches.report(f"{operation.name} has no output, yet was answered {sorted(result)}")
        return self._response(
            200,
            f'<{operation.name}Response xmlns="{self._namespace}">{inner}'
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation.name}Response>",
            request_id,
        )

    def _refuse(self, refusal: Refusal, request_id: str) -> HttpResponse:
        code = refusal.code if refusal.facts is not None else _NAMES.get(refusal.code, refusal.code)
        more = ""
        if refusal.facts is not None and refusal.members:
            more = self.writers.members(refusal.facts.shape, refusal.members)
        name = refusal.facts.message_member if refusal.facts is not None else "Message"
        name = name[:1].upper() + name[1:]
        blame = "Sender" if refusal.status < 500 else "Receiver"
        return self._response(
            refusal.status,
            f'<ErrorResponse xmlns="{self._namespace}"><Error><Type>{blame}</Type><Code>{code}</Code>'
            f"<{name}>{text_of(refusal.message)}</{name}>{more}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>",
            request_id,
        )

    def _response(self, status: int, body: str, request_id: str) -> HttpResponse:
        headers = (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id))
        return HttpResponse(status=status, headers=headers, body=body.encode())


def form_fields(request: HttpRequest) -> dict[str, str]:
    """All fields of a request: of its query string, and of its body when that is a form."""
    try:
        body = request.body.decode("ascii") if is_form(request) else ""
    except UnicodeDecodeError:
        raise SerializationException("The form is not percent-encoded") from None
    return parse_form(request.query, body)


def is_form(request: HttpRequest) -> bool:
    """Whether the body calls itself a form."""
    content_type = request.header("content-type") or ""
    return content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded"
