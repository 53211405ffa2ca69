"""Account settings of ECR: what the account has chosen for its registry."""

from collections.abc import Mapping
from typing import Any

from kit.aws.errors import InvalidParameterException
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from state.registry_account import get_registry_account, lock_registry_account

# By name: the column, and the values it takes. The registry policy's scope never becomes V1 again.
_SETTINGS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "BASIC_SCAN_TYPE_VERSION": ("basic_scan_type", ("AWS_NATIVE",)),
    "REGISTRY_POLICY_SCOPE": ("policy_scope", ("V2",)),
    "BLOB_MOUNTING": ("blob_mounting", ("ENABLED", "DISABLED")),
}


@ecr.operation("GetAccountSetting")
def get_account_setting(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The setting's value, chosen or not."""
    column, _ = _find(request["name"])
    return {"name": request["name"], "value": getattr(get_registry_account(call.session), column)}


@ecr.operation("PutAccountSetting")
def put_account_setting(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Choose a setting's value."""
    name, value = request["name"], request["value"]
    column, values = _find(name)
    if value not in values:
        raise InvalidParameterException(
            f"Invalid parameter at 'value' failed to satisfy constraint: {name} takes {' or '.join(values)}"
        )
    setattr(lock_registry_account(call.session), column, value)
    return {"name": name, "value": value}


def _find(name: str) -> tuple[str, tuple[str, ...]]:
    if name not in _SETTINGS:
        raise InvalidParameterException(
            f"Invalid parameter at 'name' failed to satisfy constraint: it must be one of {', '.join(_SETTINGS)}"
        )
    return _SETTINGS[name]
