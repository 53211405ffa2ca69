"""Account settings: kept per principal, with the account's own choice and then ECS's default beneath.

``containerInsights`` is what new clusters start with and the long ARN formats are always on; the others are kept and
answered, for nothing in Berth depends on them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kit.aws.paging import scope_of
from orchestrator.api.ecs.errors import InvalidParameterException
from orchestrator.api.ecs.pages import page
from orchestrator.api.ecs.wire import ecs
from orchestrator.call import Call
from state.account_settings import account_settings_of, forget_account_setting, put_account_setting

ON_OFF = ("off", "on")
SWITCH = ("disabled", "enabled")
# The values of each setting, its default first. Source: ECS developer guide, "Account settings".
VALUES: Mapping[str, Sequence[str]] = {
    "serviceLongArnFormat": ("enabled",),
    "taskLongArnFormat": ("enabled",),
    "containerInstanceLongArnFormat": ("enabled",),
    "awsvpcTrunking": SWITCH,
    "containerInsights": (*SWITCH, "enhanced"),
    "fargateFIPSMode": SWITCH,
    "tagResourceAuthorization": ON_OFF,
    "fargateTaskRetirementWaitPeriod": ("7", "0", "14"),
    "guardDutyActivate": ON_OFF,
    "defaultLogDriverMode": ("non-blocking", "blocking"),
    "fargateEventWindows": SWITCH,
}
LONGEST_ARN = 400
MANAGED = ("guardDutyActivate",)


@ecs.operation("ListAccountSettings")
def list_account_settings(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """With ``effectiveSettings`` every setting as it applies to the principal, else only its own choices."""
    name, value = request.get("name"), request.get("value")
    if value and not name:
        raise InvalidParameterException("A setting's value can be filtered by only together with its name.")
    principal = _principal(call, request)
    effective = bool(request.get("effectiveSettings"))
    found = effective_settings(call, principal) if effective else account_settings_of(call.session, principal)
    chosen = sorted(
        setting for setting in found.items() if name in (None, "", setting[0]) and value in (None, "", setting[1])
    )
    rows, more = page(
        request,
        lambda after, limit: [row for row in chosen if after is None or row[0] > after][:limit],
        lambda row: row[0],
        scope=scope_of("ListAccountSettings", name=name, value=value, principal=principal, effective=effective),
    )
    return {"settings": [_render(principal, *row) for row in rows], **more}


@ecs.operation("PutAccountSetting")
def put_setting(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    principal = _principal(call, request)
    return _put(call, principal, request["name"], request["value"])


@ecs.operation("PutAccountSettingDefault")
def put_setting_default(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    return _put(call, root(call), request["name"], request["value"])


@ecs.operation("DeleteAccountSetting")
def delete_setting(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Back to what applies without the principal's own choice, which the answer shows."""
    principal = _principal(call, request)
    forget_account_setting(call.session, principal, request["name"])
    return {"setting": _render(principal, request["name"], effective_settings(call, principal)[request["name"]])}


def effective_settings(call: Call, principal: str) -> dict[str, str]:
    """Every setting as it applies to the principal."""
    defaults = {name: values[0] for name, values in VALUES.items()}
    return {**defaults, **account_settings_of(call.session, root(call)), **account_settings_of(call.session, principal)}


def root(call: Call) -> str:
    """The account's root principal, whose choices are the account's."""
    return f"arn:aws:iam::{call.arns.account}:root"


def _principal(call: Call, request: dict[str, Any]) -> str:
    """Whose setting is meant: the caller's unless another principal of the account is named."""
    named = request.get("principalArn")
    if not named:
        return call.caller.principal_arn
    if len(named) > LONGEST_ARN or not named.startswith(f"arn:aws:iam::{call.arns.account}:"):
        raise InvalidParameterException("The principalArn must be the ARN of a principal of this account.")
    return str(named)


def _put(call: Call, principal: str, name: str, value: str) -> dict[str, Any]:
    if name in MANAGED:
        raise InvalidParameterException(f"The account setting {name} is managed by AWS and cannot be changed.")
    if name.endswith("LongArnFormat") and value == "disabled":
        raise InvalidParameterException("You can no longer disable Long Arn settings")
    if value not in VALUES[name]:
        raise InvalidParameterException(
            f"Invalid value {value[:64]!r} for the account setting {name}: {', '.join(sorted(VALUES[name]))}."
        )
    put_account_setting(call.session, principal, name, value)
    return {"setting": _render(principal, name, value)}


def _render(principal: str, name: str, value: str) -> dict[str, str]:
    kind = "aws_managed" if name in MANAGED else "user"
    return {"name": name, "value": value, "principalArn": principal, "type": kind}
