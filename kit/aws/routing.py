"""Which service and operation a request means, all services being behind one port.

``X-Amz-Target`` decides when there is one; else the service in the credential scope, and then that service's paths
or the form's ``Action``. ``/healthz`` and the registry's ``/v2/`` never come here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from kit.aws.errors import AwsError, SerializationException, UnknownOperation
from kit.aws.http import HttpRequest
from kit.aws.paths import match_path
from kit.aws.protocols.query import form_fields, is_form
from kit.aws.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a request leads; ``trouble`` is why it leads nowhere, to be told once the caller is known."""

    service: Service | None = None
    operation: str | None = None
    trouble: AwsError | None = None


class Router:
    """Routes among a fixed set of services. Building one loads no model."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._services = tuple(services)
        self._by_target: Mapping[str, Service] | None = None
        self._by_signing_name: Mapping[str, Service] | None = None
        self._rest: dict[str, list[tuple[str, str, str]]] = {}

    def route(self, request: HttpRequest) -> Route:
        """The service and operation of a request; never raises."""
        target = request.header("x-amz-target")
        if target is not None:
            return self._by_target_header(target)
        scoped = service_in_scope(request)
        if scoped is not None:
            service = self._signing_names().get(scoped)
            if service is None:
                return Route(trouble=UnknownOperation(f"Berth does not serve '{scoped[:64]}'."))
            return self._within(service, request)
        return Route(trouble=UnknownOperation("The request names no service: it is not signed."))

    def _by_target_header(self, target: str) -> Route:
        if self._by_target is None:
            prefixes = ((service.model.metadata.get("targetPrefix"), service) for service in self._services)
            self._by_target = {prefix: service for prefix, service in prefixes if prefix}
        prefix, _, name = target.rpartition(".")
        service = self._by_target.get(prefix)
        if service is None:
            return Route(trouble=UnknownOperation(f"Berth serves nothing at '{target[:128]}'."))
        if name not in service.model.operation_names:
            return Route(service=service, trouble=_no_such(service, name))
        return Route(service=service, operation=name)

    def _within(self, service: Service, request: HttpRequest) -> Route:
        match service.model.metadata.get("protocol"):
            case "query":
                return self._by_action(service, request)
            case "json":
                trouble = UnknownOperation("The request has no X-Amz-Target header.")
                return Route(service=service, trouble=trouble)
        for method, template, name in self._bindings(service):
            if method == request.method:
                try:
                    matched = match_path(template, request.path)
                except SerializationException as trouble:
                    return Route(service=service, trouble=trouble)
                if matched is not None:
                    return Route(service=service, operation=name)
        return Route(service=service, trouble=_no_such(service, f"{request.method} {request.path}"))

    def _by_action(self, service: Service, request: HttpRequest) -> Route:
        try:
            action = form_fields(request).get("Action", "")
        except SerializationException as trouble:
            return Route(service=service, trouble=trouble)
        if action not in service.model.operation_names:
            return Route(service=service, trouble=_no_such(service, action))
        return Route(service=service, operation=action)

    def _bindings(self, service: Service) -> list[tuple[str, str, str]]:
        """The service's (method, path template, operation), the most literal first."""
        found = self._rest.get(service.name)
        if found is None:
            operations = map(service.operation_model, service.model.operation_names)
            found = [(one.http["method"], one.http["requestUri"], one.name) for one in operations]
            found.sort(key=lambda binding: (binding[1].count("{"), binding[1]))
            self._rest[service.name] = found
        return found

    def _signing_names(self) -> Mapping[str, Service]:
        if self._by_signing_name is None:
            self._by_signing_name = {service.signing_name: service for service in self._services}
        return self._by_signing_name


def service_in_scope(request: HttpRequest) -> str | None:
    """The service that a request's credential is scoped to, nothing verified."""
    credential = ""
    authorization = request.header("authorization")
    if authorization is not None:
        _, found, rest = authorization.partition("Credential=")
        credential = rest.partition(",")[0].strip() if found else ""
    else:
        for part in request.query.split("&"):
            if part.startswith("X-Amz-Credential="):
                credential = unquote(part.partition("=")[2])
    pieces = credential.split("/")
    return pieces[3] if len(pieces) == 5 else None


def protocol_guess(request: HttpRequest) -> str:
    """The protocol to refuse a request in when its service is not known."""
    if request.header("x-amz-target") is not None:
        return "json"
    if is_form(request) or "Action=" in request.query:
        return "query"
    return "rest-json"


def _no_such(service: Service, name: str) -> AwsError:
    return UnknownOperation(f"{service.name} has no operation '{name[:128]}'.")
