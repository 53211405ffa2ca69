"""Signed requests for a gateway under test, a key that may do everything, services with every operation bound."""

import json
from collections.abc import Callable
from typing import Any

from kit.aws.gateway import Gateway, Invocation
from kit.aws.http import HttpRequest, HttpResponse
from kit.aws.service import Service
from kit.aws.sigv4 import Caller, Key, sign
from kit.clock import Clock, ManualClock

HOST = "berth.example:7070"
ROOT = Caller(access_key_id="AKIDEXAMPLE", principal_arn="arn:aws:iam::123456789012:root", account="123456789012")
ROOT_KEY = Key(access_key_id=ROOT.access_key_id, secret="a+secret/of=letters", caller=ROOT)


def bound(name: str, handler: Callable[[Any, dict[str, Any]], dict[str, Any] | None]) -> Service:
    """A service with ``handler`` bound to every operation that can be bound."""
    service = Service(name)
    for operation in service.model.operation_names:
        if not service.operation_model(operation).has_event_stream_output:
            service.operation(operation)(handler)
    return service


def gateway_of(*services: Service, clock: Clock | None = None, key: Key = ROOT_KEY, **more: Any) -> Gateway:
    """A strict gateway that calls handlers straight away."""

    def execute(invocation: Invocation) -> dict[str, Any] | None:
        return invocation.handler(invocation, invocation.params)

    more.setdefault("execute", execute)
    keys = {key.access_key_id: key}
    return Gateway(services, find_key=keys.get, clock=clock or ManualClock(), strict=True, **more)


def signed(
    service: str,
    *,
    method: str = "POST",
    path: str = "/",
    query: str = "",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    key: Key = ROOT_KEY,
    clock: Clock | None = None,
) -> HttpRequest:
    """A request signed by ``key`` for ``service``."""
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    given = {"Host": HOST, **(headers or {})}
    added = sign(
        method=method,
        url=url,
        headers=given,
        body=body,
        access_key=key.access_key_id,
        secret_key=key.secret,
        session_token=key.session_token,
        service=service,
        region="us-east-1",
        at=(clock or ManualClock()).now(),
    )
    return HttpRequest(method=method, path=path, query=query, headers={**given, **added}, body=body)


def json_call(service: Service, operation: str, params: Any, *, raw: bytes | None = None, **more: Any) -> HttpRequest:
    """A signed request of the json protocol; ``raw`` replaces the body."""
    target = f"{service.model.metadata['targetPrefix']}.{operation}"
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
    body = json.dumps(params).encode() if raw is None else raw
    return signed(service.signing_name, headers=headers, body=body, **more)


def form_call(service: Service, form: str, **more: Any) -> HttpRequest:
    """A signed request of the query protocol."""
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return signed(service.signing_name, headers=headers, body=form.encode(), **more)


def told(response: HttpResponse) -> tuple[int, str, str]:
    """Status, code and message of a JSON error."""
    body = json.loads(response.body)
    code = response.header("x-amzn-errortype") or ""
    assert body["__type"] == code
    return response.status, code, body.get("message", body.get("Message", ""))
