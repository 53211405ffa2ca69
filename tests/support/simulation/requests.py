"""Requests as a client library sends them: serialised by botocore, signed, on the simulation's clock."""

import json
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.serialize import create_serializer

from kit.aws.http import HttpRequest, HttpResponse
from kit.aws.sigv4 import Caller, Key, sign
from orchestrator.identity import HOST_ACTIONS

ENDPOINT = "http://berth.test:7070"
ACCOUNT = "123456789012"


def _key(name: str, who: str, actions: tuple[str, ...]) -> Key:
    arn = f"arn:aws:iam::{ACCOUNT}:{who}"
    return Key(
        access_key_id=name,
        secret=f"secret/of/{name}",
        caller=Caller(access_key_id=name, principal_arn=arn, account=ACCOUNT, actions=actions),
    )


USER = _key("AKIAUSERUSERUSERUSER", "root", ("*",))
AGENT = _key("AKIAAGENTAGENTAGENTA", "user/berth/agent/local", HOST_ACTIONS)
KEYS = {key.access_key_id: key for key in (USER, AGENT)}


class Refused(Exception):
    """The control plane's answer was an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code


@cache
def _model(service: str) -> tuple[ServiceModel, Any]:
    model = ServiceModel(Loader().load_service_model(service, "service-2"), service)
    return model, create_serializer(model.metadata["protocol"])


def user_request(service: str, operation: str, params: dict[str, Any], *, at: datetime) -> HttpRequest:
    """A user's call of any operation."""
    model, serializer = _model(service)
    made = serializer.serialize_to_request(params, model.operation_model(operation))
    body = made["body"] if isinstance(made["body"], bytes) else str(made["body"]).encode()
    query = urlencode(made["query_string"] or {})
    return signed_request(
        made["method"], made["url_path"], made["headers"], body, service=model.signing_name, query=query, at=at
    )


def signed_request(
    method: str, path: str, headers: dict[str, str], body: bytes, *, service: str, query: str = "", at: datetime
) -> HttpRequest:
    """A user's signed request."""
    url = f"{ENDPOINT}{path}" + (f"?{query}" if query else "")
    given = {"host": "berth.test:7070", **headers}
    added = sign(
        method=method,
        url=url,
        headers=given,
        body=body,
        access_key=USER.access_key_id,
        secret_key=USER.secret,
        service=service,
        region="us-east-1",
        at=at,
    )
    return HttpRequest(method=method, path=path, query=query, headers={**given, **added}, body=body)


def answer_of(response: HttpResponse) -> dict[str, Any]:
    """The decoded answer; raises Refused."""
    body = json.loads(response.body) if response.body else {}
    if response.status >= 300:
        code = str(body.get("__type") or response.header("x-amzn-errortype") or "")
        raise Refused(response.status, code, str(body.get("message") or body.get("Message") or ""))
    return dict(body)
