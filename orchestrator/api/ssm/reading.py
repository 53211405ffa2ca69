"""Reading parameters: one or a few by name, by a version or a label, and their history."""

from typing import Any

from kit.aws.errors import ValidationException
from kit.aws.paging import page, scope_of
from kit.secrets import Undecipherable
from orchestrator.agents.own_secrets import check_own_secret
from orchestrator.api.ssm.errors import (
    InvalidKeyId,
    InvalidNextToken,
    ParameterNotFound,
    ParameterVersionNotFound,
)
from orchestrator.api.ssm.naming import find_parameter, find_selected, parameter_arn
from orchestrator.api.ssm.parameters import DEFAULT_KEY
from orchestrator.api.ssm.wire import ssm
from orchestrator.call import Call
from state.parameters import ParameterVersion, list_parameter_versions

HISTORY_PAGE = 50
SECURE = "SecureString"


@ssm.operation("GetParameter")
def get_one_parameter(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html"""
    version, selector = find_selected(call, request["Name"])
    return {"Parameter": render_parameter(call, version, selector, decrypt=bool(request.get("WithDecryption")))}


@ssm.operation("GetParameters")
def get_parameters(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html"""
    found, invalid = [], []
    for name in dict.fromkeys(request["Names"]):
        try:
            version, selector = find_selected(call, name)
        except (ParameterNotFound, ParameterVersionNotFound):
            invalid.append(name)
            continue
        found.append(render_parameter(call, version, selector, decrypt=bool(request.get("WithDecryption"))))
    return {"Parameters": found, "InvalidParameters": invalid} if invalid else {"Parameters": found}


@ssm.operation("GetParameterHistory")
def get_parameter_history(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameterHistory.html"""
    if ":" in request["Name"] and not request["Name"].startswith("arn:"):
        raise ValidationException("A history is of a parameter, not of one of its versions.")
    parameter = find_parameter(call, request["Name"])
    decrypt = bool(request.get("WithDecryption"))
    given, more = page(
        list_parameter_versions(call.session, parameter.name),
        key=lambda version: version.number,
        limit=request.get("MaxResults") or HISTORY_PAGE,
        token=request.get("NextToken"),
        scope=scope_of("GetParameterHistory", name=parameter.name),
        error=InvalidNextToken,
    )
    rendered = [
        {
            **render_metadata(call, version),
            "Value": value_of(call, version, decrypt=decrypt),
            **({"Labels": version.labels} if version.labels else {}),
        }
        for version in given
    ]
    for entry in rendered:
        del entry["ARN"]
    return {"Parameters": rendered, "NextToken": more} if more else {"Parameters": rendered}


def render_parameter(
    call: Call, version: ParameterVersion, selector: str | None = None, *, decrypt: bool
) -> dict[str, Any]:
    """A version with its value, as every reader gets it."""
    rendered = {
        "Name": version.name,
        "Type": version.type,
        "Value": value_of(call, version, decrypt=decrypt),
        "Version": version.number,
        "LastModifiedDate": version.modified_at,
        "ARN": parameter_arn(call.arns, version.name),
        "DataType": version.data_type,
    }
    return rendered if selector is None else {**rendered, "Selector": f":{selector}"}


def render_metadata(call: Call, version: ParameterVersion) -> dict[str, Any]:
    """All that is known of a version but its value."""
    rendered: dict[str, Any] = {
        "Name": version.name,
        "ARN": parameter_arn(call.arns, version.name),
        "Type": version.type,
        "KeyId": DEFAULT_KEY if version.type == SECURE else None,
        "LastModifiedDate": version.modified_at,
        "LastModifiedUser": version.modified_by,
        "Description": version.description,
        "AllowedPattern": version.allowed_pattern,
        "Version": version.number,
        "Tier": version.tier,
        "Policies": [],
        "DataType": version.data_type,
    }
    return {member: value for member, value in rendered.items() if value is not None}


def value_of(call: Call, version: ParameterVersion, *, decrypt: bool) -> str:
    """The value, for who may read it; a SecureString that is not to be decrypted is sealed, as it lies in the store."""
    check_own_secret(call, version.name, parameter_arn(call.arns, version.name))
    if version.type == SECURE and not decrypt:
        return version.sealed
    try:
        return call.secrets.decrypt(version.sealed)
    except Undecipherable as trouble:
        raise InvalidKeyId("Berth's master key is not the one that the parameter was kept with.") from trouble
