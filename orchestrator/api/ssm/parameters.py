"""Parameters: put, each time as a new version, and deleted."""

from typing import Any

from kit.aws.errors import ValidationException
from orchestrator.api.ssm.allowed_patterns import check_allowed
from orchestrator.api.ssm.errors import (
    HierarchyTypeMismatchException,
    InvalidKeyId,
    InvalidPolicyTypeException,
    ParameterAlreadyExists,
    ParameterMaxVersionLimitExceeded,
    ParameterNotFound,
)
from orchestrator.api.ssm.naming import check_new_name, find_parameter
from orchestrator.api.ssm.tags import merged_tags
from orchestrator.api.ssm.wire import ssm
from orchestrator.call import Call
from orchestrator.errand import Errand
from state.parameters import Parameter, ParameterVersion, discard_parameter, get_parameter, list_parameter_versions

# AWS's own key; here it stands for the master key.
DEFAULT_KEY = "alias/aws/ssm"
STANDARD, ADVANCED, CHOSEN = "Standard", "Advanced", "Intelligent-Tiering"
SIZES = {STANDARD: 4096, ADVANCED: 8192}
MOST_VERSIONS = 100


# Outside of any transaction: a caller's pattern may take its time.
@ssm.operation("PutParameter", outside=True)
def put_parameter(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html"""
    check_new_name(request["Name"])
    _check(request)
    if request.get("AllowedPattern"):
        check_allowed(request["AllowedPattern"], request["Value"])
    return errand.transact(lambda call: _put(call, request))


@ssm.operation("DeleteParameter")
def delete_parameter(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameter.html"""
    discard_parameter(call.session, find_parameter(call, request["Name"], hold=True))


@ssm.operation("DeleteParameters")
def delete_parameters(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameters.html"""
    deleted, invalid = [], []
    # In the order of their names, so that two who delete the same ones wait for each other.
    for name in sorted(set(request["Names"])):
        try:
            discard_parameter(call.session, find_parameter(call, name, hold=True))
        except ParameterNotFound:
            invalid.append(name)
            continue
        call.session.flush()
        deleted.append(name)
    answer = {"DeletedParameters": deleted, "InvalidParameters": invalid}
    return {member: names for member, names in answer.items() if names}


def _check(request: dict[str, Any]) -> None:
    """Raise AWS's errors for what needs no look at the store."""
    value = request["Value"]
    if not value:
        raise ValidationException("1 validation error detected: Value at 'value' must not be empty.")
    if "{{" in value and "}}" in value:
        raise ValidationException('Parameter value can\'t nest another parameter. Do not use "{{}}" in the value.')
    if request.get("Overwrite") and request.get("Tags"):
        raise ValidationException(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please "
            "remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or "
            "RemoveTagsFromResource."
        )
    if (request.get("DataType") or "text") != "text":
        raise ValidationException(f"Berth keeps parameters of data type text, not {request['DataType']}.")
    if request.get("Policies") and request["Policies"].strip() not in ("[]", "[{}]"):
        raise InvalidPolicyTypeException
    if request.get("KeyId") and request["KeyId"].split(":")[-1] != DEFAULT_KEY:
        raise InvalidKeyId("Berth keeps parameters encrypted with its own master key; leave out KeyId.")
    if request.get("KeyId") and request.get("Type") != "SecureString":
        raise ValidationException("KeyId is required for SecureString type parameter only.")


def _put(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    name = check_new_name(request["Name"])
    parameter = get_parameter(call.session, name, hold=True)
    before: ParameterVersion | None = None
    if parameter is None:
        if not request.get("Type"):
            raise ValidationException("A parameter type is required when you create a parameter.")
        parameter = Parameter(name=name, latest=0, tags=merged_tags([], request.get("Tags") or ()))
        call.session.add(parameter)
        # The version's row names it.
        call.session.flush()
    elif not request.get("Overwrite"):
        raise ParameterAlreadyExists
    else:
        before = _make_room(call, parameter)
        if request.get("Type") not in (None, before.type):
            raise HierarchyTypeMismatchException
    version = ParameterVersion(
        name=name,
        number=parameter.latest + 1,
        type=before.type if before is not None else request["Type"],
        sealed=call.secrets.encrypt(request["Value"]),
        tier=_tier(request, before),
        data_type="text",
        description=request.get("Description") or None,
        allowed_pattern=request.get("AllowedPattern") or None,
        labels=[],
        modified_at=call.now,
        modified_by=call.caller.principal_arn,
    )
    call.session.add(version)
    parameter.latest = version.number
    return {"Version": version.number, "Tier": version.tier}


def _make_room(call: Call, parameter: Parameter) -> ParameterVersion:
    """The latest version; the oldest goes when there are too many, unless a label keeps it."""
    versions = list_parameter_versions(call.session, parameter.name)
    if len(versions) >= MOST_VERSIONS:
        oldest = versions[0]
        if oldest.labels:
            raise ParameterMaxVersionLimitExceeded(
                f"You attempted to create a new version of {parameter.name} by calling the PutParameter API with the "
                f"overwrite flag. Version {oldest.number}, the oldest version, can't be deleted because it has a label "
                "associated with it. Move the label to another version of the parameter, and try again."
            )
        call.session.delete(oldest)
    return versions[-1]


def _tier(request: dict[str, Any], before: ParameterVersion | None) -> str:
    """Standard or Advanced, as asked for, kept, or needed for the size of the value."""
    size = len(request["Value"].encode())
    asked = request.get("Tier")
    kept = before.tier if before is not None else STANDARD
    needed = ADVANCED if size > SIZES[STANDARD] or kept == ADVANCED else STANDARD
    tier = needed if asked == CHOSEN else asked or kept
    if kept == ADVANCED and tier == STANDARD:
        raise ValidationException(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the "
            "advanced-parameter tier to the standard-parameter tier."
        )
    if size > SIZES[tier]:
        raise ValidationException(
            f"{tier} tier parameters support a maximum parameter value of {SIZES[tier]} characters."
        )
    return tier
