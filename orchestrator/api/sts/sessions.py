"""Temporary credentials: AssumeRole and GetSessionToken.

A session may do what its caller may, no more; what Berth could not enforce (session policies, MFA) is refused.
"""

import re
from datetime import timedelta
from typing import Any

from kit.aws.errors import AccessDeniedException, ValidationError
from kit.aws.sigv4 import Key
from orchestrator.api.sts.caller_identity import role_id
from orchestrator.api.sts.wire import sts
from orchestrator.call import Call
from orchestrator.identity import open_session

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/((?:[\x21-\x7e]*/)?[\w+=,.@-]{1,64})", re.ASCII)
# Members of AssumeRole that would narrow or mark the session in ways that nothing here checks afterwards.
_UNENFORCED = ("Policy", "PolicyArns", "ProvidedContexts", "TransitiveTagKeys", "Tags")


@sts.operation("AssumeRole")
def assume_role(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""
    _refuse_mfa(request)
    for member in _UNENFORCED:
        if request.get(member):
            raise ValidationError(f"Berth does not enforce {member} of a session; leave it out.")
    role = _ROLE.fullmatch(request["RoleArn"])
    if role is None:
        raise ValidationError(f"{request['RoleArn']} is invalid")
    account, path = role.groups()
    if account != call.caller.account:
        raise AccessDeniedException(
            f"User: {call.caller.principal_arn} is not authorized to perform: sts:AssumeRole "
            f"on resource: {request['RoleArn']}"
        )
    name, session_name = path.rsplit("/", 1)[-1], request["RoleSessionName"]
    arn = f"arn:aws:sts::{account}:assumed-role/{name}/{session_name}"
    key = _open(call, arn, request.get("DurationSeconds") or 3600)
    answer: dict[str, Any] = {
        "Credentials": render_credentials(key),
        "AssumedRoleUser": {"AssumedRoleId": f"{role_id(account, name)}:{session_name}", "Arn": arn},
    }
    if request.get("SourceIdentity"):
        answer["SourceIdentity"] = request["SourceIdentity"]
    return answer


# Its name reads like a look-up, yet it makes a key.
@sts.operation("GetSessionToken", readonly=False)
def get_session_token(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html"""
    _refuse_mfa(request)
    if call.caller.access_key_id.startswith("ASIA"):
        raise AccessDeniedException("Cannot call GetSessionToken with session credentials")
    key = _open(call, call.caller.principal_arn, request.get("DurationSeconds") or 43200)
    return {"Credentials": render_credentials(key)}


def render_credentials(key: Key) -> dict[str, Any]:
    """``Credentials`` as STS answers them."""
    return {
        "AccessKeyId": key.access_key_id,
        "SecretAccessKey": key.secret,
        "SessionToken": key.session_token,
        "Expiration": key.expires_at,
    }


def _open(call: Call, principal_arn: str, seconds: int) -> Key:
    if call.caller.speaks_for is not None:
        raise AccessDeniedException(
            f"User: {call.caller.principal_arn} acts for one host, and may make no session that would not."
        )
    return open_session(
        call.session,
        call.secrets,
        principal_arn=principal_arn,
        actions=call.caller.actions,
        now=call.now,
        length=timedelta(seconds=seconds),
    )


def _refuse_mfa(request: dict[str, Any]) -> None:
    if request.get("SerialNumber") or request.get("TokenCode"):
        raise AccessDeniedException("Berth has no MFA devices; leave out SerialNumber and TokenCode.")
