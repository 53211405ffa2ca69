"""Authorization tokens: what ``docker login`` takes as the password of the user ``AWS``."""

from base64 import b64encode
from typing import Any

from kit.aws.errors import InvalidParameterException
from orchestrator.agents.official import PULL_PATH
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from registry.access import USER, issue_token


@ecr.operation("GetAuthorizationToken")
def get_authorization_token(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """A token that lasts twelve hours, or until its access key ends; once for every registry asked for."""
    asked = request.get("registryIds") or [call.settings.account]
    for account in asked:
        if account != call.settings.account:
            raise InvalidParameterException(f"There is no registry with id '{account}' here.")
    password, expires_at = issue_token(
        call.secrets,
        access_key_id=call.caller.access_key_id,
        principal_arn=call.caller.principal_arn,
        now=call.now,
    )
    data = {
        "authorizationToken": b64encode(f"{USER}:{password}".encode()).decode(),
        "expiresAt": expires_at,
        "proxyEndpoint": _address(call),
    }
    return {"authorizationData": [data for _ in asked]}


def _address(call: Call) -> str:
    """The registry's URL. The official ECS agent takes a token only for an ``https`` one, and hands the engine, which
    finds out by itself what a registry speaks, no more of it than its host."""
    return f"https://{call.settings.registry}" if call.path.rstrip("/") == PULL_PATH else call.settings.registry_url
