"""The gateway: one HTTP request in, one HTTP answer out, for every operation of every service alike.

Route, authenticate, authorise, decode, validate, hand over, encode. It never raises: whatever is wrong with a request
is told in AWS's words, and whatever is wrong with Berth is logged and told as an internal failure without detail.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.model import OperationModel, ServiceModel

from kit.aws.access import remedy
from kit.aws.claims import read_claim
from kit.aws.errors import (
    AccessDeniedException,
    AwsError,
    InternalFailure,
    NotBuilt,
    SerializationException,
    UnrecognizedClientException,
)
from kit.aws.http import HttpRequest, HttpResponse
from kit.aws.model import idempotency_member
from kit.aws.protocols import WIRES, wire_of
from kit.aws.protocols.base import Wire
from kit.aws.routing import Route, Router, protocol_guess
from kit.aws.service import Handler, Service
from kit.aws.sigv4 import Caller, FindKey, verify
from kit.aws.writing import ModelMismatch
from kit.clock import Clock, monotonic
from kit.ids import new_uuid

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One authenticated, decoded and validated call, ready to be executed."""

    service: Service
    operation: str
    handler: Handler
    readonly: bool
    params: dict[str, Any]
    caller: Caller
    request_id: str
    at: datetime
    client_token: str | None
    outside: bool = False
    source_ip: str | None = None
    secure: bool = False
    # Where the request was sent, for what is told differently at different doors.
    path: str = "/"

    @property
    def fingerprint(self) -> str:
        """A SHA-256 of the parameters, equal for equal ones: tells a repeated call from a re-used token."""
        canonical = json.dumps(self.params, sort_keys=True, separators=(",", ":"), default=_plain)
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What an answer was, for whoever counts and logs: ``code`` is the error's, or None; ``seconds`` of work."""

    service: str
    operation: str
    status: int
    code: str | None
    seconds: float
    request_id: str
    access_key_id: str | None


class Gateway:
    """Serves a fixed set of services.

    ``execute`` runs an Invocation (authorised already) and returns the handler's output; what it raises as AwsError
    goes to the caller. With ``region`` given, credentials must be scoped to it. ``strict`` is for tests: an answer or
    error that the model does not declare raises ModelMismatch out of ``handle``, and nothing else ever does.
    """

    def __init__(
        self,
        services: Iterable[Service],
        *,
        find_key: FindKey,
        clock: Clock,
        execute: Callable[[Invocation], dict[str, Any] | None],
        region: str | None = None,
        strict: bool = False,
        observe: Callable[[Answered], None] | None = None,
    ) -> None:
        services = tuple(services)
        self._router = Router(services)
        self._find_key = find_key
        self._clock = clock
        self._execute = execute
        self._region = region
        self._observe = observe
        self._wires = {service.name: wire_of(service.model, strict=strict) for service in services}
        self._nameless = {protocol: wire(_no_model(protocol)) for protocol, wire in WIRES.items()}

    def handle(self, request: HttpRequest) -> HttpResponse:
        """The answer to a request, whatever the request."""
        began = monotonic()
        request_id = new_uuid()
        route, caller, error = Route(), None, None
        try:
            route = self._router.route(request)
            caller = self._authenticate(request, route)
            response = self._serve(request, route, caller, request_id)
        except AwsError as told:
            error = told
            response = self._refuse(request, route, told, request_id)
        except ModelMismatch:
            raise
        except Exception:
            log.exception("request failed", extra={"request_id": request_id, "operation": route.operation})
            error = InternalFailure()
            response = self._refuse(request, route, error, request_id)
        if self._observe is not None:
            self._observe(
                Answered(
                    service=route.service.name if route.service is not None else "unknown",
                    operation=route.operation or "unknown",
                    status=response.status,
                    code=error.code if error is not None else None,
                    seconds=monotonic() - began,
                    request_id=request_id,
                    access_key_id=caller.access_key_id if caller is not None else None,
                )
            )
        return response

    def admit(self, head: HttpRequest) -> None:
        """Refuse, before a large body is read, whoever cannot have signed it; nothing is verified. Raises AwsError."""
        if self._find_key(read_claim(head).access_key_id) is None:
            raise UnrecognizedClientException

    def refuse(self, request: HttpRequest, error: AwsError) -> HttpResponse:
        """The response that tells ``error`` in the protocol the request seems to speak; nothing is verified."""
        return self._refuse(request, self._router.route(request), error, new_uuid())

    def _authenticate(self, request: HttpRequest, route: Route) -> Caller:
        service = route.service.signing_name if route.service is not None else None
        try:
            return verify(request, self._find_key, self._clock.now(), service=service, region=self._region)
        except UnicodeError:
            raise SerializationException("The request holds text that is not valid Unicode") from None

    def _serve(self, request: HttpRequest, route: Route, caller: Caller, request_id: str) -> HttpResponse:
        if route.service is None or route.operation is None:
            raise route.trouble or InternalFailure()
        service, name = route.service, route.operation
        action = f"{service.name}:{name}"
        if service.authorize is None and not caller.may(action):
            raise AccessDeniedException(
                f"User: {caller.principal_arn} is not authorized to perform: {action}"
                f"{remedy(caller.principal_arn, action)}"
            )
        operation = service.operations.get(name)
        if operation is None:
            raise NotBuilt(f"Berth has not built {service.name}:{name}.")
        wire, model = self._wires[service.name], service.operation_model(name)
        params = wire.read(request, model)
        token_member = None if service.own_tokens or operation.own_token else idempotency_member(model)
        result = self._execute(
            Invocation(
                service=service,
                operation=name,
                handler=operation.handler,
                readonly=operation.readonly,
                params=params,
                caller=caller,
                request_id=request_id,
                at=self._clock.now(),
                client_token=params.get(token_member) or None if token_member is not None else None,
                outside=operation.outside,
                source_ip=request.client,
                secure=request.secure,
                path=request.path,
            )
        )
        return wire.answer(model, result or {}, request_id)

    def _refuse(self, request: HttpRequest, route: Route, error: AwsError, request_id: str) -> HttpResponse:
        operation: OperationModel | None = None
        if route.service is None:
            wire: Wire = self._nameless[protocol_guess(request)]
        else:
            wire = self._wires[route.service.name]
            if route.operation is not None:
                operation = route.service.operation_model(route.operation)
        return wire.refuse(operation, error, request_id)


def _no_model(protocol: str) -> ServiceModel:
    """The model of no service: for refusals before any service is known."""
    return ServiceModel({"metadata": {"protocol": protocol}, "operations": {}, "shapes": {}}, "unknown")


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no canonical form for {type(value).__name__}")
