"""Who signs: GetCallerIdentity, and the unique ids that go with principals."""

import hashlib
from base64 import b32encode
from typing import Any

from kit.aws.sigv4 import Caller
from orchestrator.api.sts.wire import sts
from orchestrator.call import Call


@sts.operation("GetCallerIdentity")
def get_caller_identity(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
    return {"UserId": user_id(call.caller), "Account": call.caller.account, "Arn": call.caller.principal_arn}


def user_id(caller: Caller) -> str:
    """The account for root, ``AROA…:session`` for a role's session, ``AIDA…`` for a user."""
    kind, _, name = caller.principal_arn.split(":", 5)[5].partition("/")
    if kind == "root":
        return caller.account
    if kind == "assumed-role":
        role, _, session = name.rpartition("/")
        return f"{role_id(caller.account, role)}:{session}"
    return unique_id("AIDA", caller.principal_arn)


def role_id(account: str, role: str) -> str:
    return unique_id("AROA", f"arn:aws:iam::{account}:role/{role}")


def unique_id(prefix: str, arn: str) -> str:
    """21 characters that are always the same for one ARN, in the shape of IAM's unique ids."""
    return prefix + b32encode(hashlib.sha256(arn.encode()).digest()).decode()[:17]
