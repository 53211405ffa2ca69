"""Secrets: created, described, changed, deleted after a recovery window, and restored within it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.ids import new_id
from orchestrator.api.secretsmanager.errors import (
    InvalidRequestException,
    ResourceExistsException,
    ResourceNotFoundException,
)
from orchestrator.api.secretsmanager.naming import (
    check_name,
    find_secret,
    new_suffix,
    secret_arn,
    summary,
)
from orchestrator.api.secretsmanager.secret_values import asked_value, open_value, put_version
from orchestrator.api.secretsmanager.tags import check_tags
from orchestrator.api.secretsmanager.wire import secretsmanager
from orchestrator.call import Call
from state.secrets import Secret, SecretVersion, clear_name, discard_secret, get_secret, list_versions

# AWS's own key; here it stands for the master key.
DEFAULT_KEYS = ("", "alias/aws/secretsmanager")
LEAST_WINDOW, MOST_WINDOW = 7, 30


@secretsmanager.operation("CreateSecret")
def create_secret(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html"""
    name, value, token = check_name(request["Name"]), asked_value(request), request.get("ClientRequestToken")
    _refuse_unbuilt(request, ("AddReplicaRegions", "ForceOverwriteReplicaSecret", "Type", "CrossAccountPrimaryARN"))
    clear_name(call.session, name, now=call.now)
    known = get_secret(call.session, name, now=call.now, hold=True)
    if known is not None:
        if known.deleted_at is not None:
            raise InvalidRequestException(
                "You can't create this secret because a secret with this name is already scheduled for deletion."
            )
        repeated = _version(call, known, token)
        if repeated is None or open_value(call.secrets, repeated) != value:
            raise ResourceExistsException(f"The operation failed because the secret {name} already exists.")
        return summary(call, known, VersionId=token)
    secret = Secret(
        id=new_id(),
        name=name,
        suffix=new_suffix(),
        description=request.get("Description") or None,
        tags=check_tags([], request.get("Tags") or ()),
        created_at=call.now,
        changed_at=call.now,
    )
    call.session.add(secret)
    # The versions' rows name it.
    call.session.flush()
    if value is None:
        return summary(call, secret)
    return summary(call, secret, VersionId=put_version(call, secret, value, token).version_id)


@secretsmanager.operation("UpdateSecret")
def update_secret(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecret.html"""
    value = asked_value(request)
    _refuse_unbuilt(request, ("Type",))
    secret = find_secret(call, request["SecretId"], hold=True)
    if request.get("Description") is not None:
        secret.description = request["Description"] or None
    secret.changed_at = call.now
    if value is None:
        return summary(call, secret)
    return summary(
        call, secret, VersionId=put_version(call, secret, value, request.get("ClientRequestToken")).version_id
    )


@secretsmanager.operation("DescribeSecret")
def describe_secret(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html"""
    secret = find_secret(call, request["SecretId"], deleted=True)
    return render_secret(call, secret, list_versions(call.session, [secret.id]), stages="VersionIdsToStages")


@secretsmanager.operation("DeleteSecret")
def delete_secret(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html"""
    days, force = request.get("RecoveryWindowInDays"), bool(request.get("ForceDeleteWithoutRecovery"))
    if force and days is not None:
        raise InvalidParameterException(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."
        )
    if days is not None and not LEAST_WINDOW <= days <= MOST_WINDOW:
        raise InvalidParameterException(
            f"The RecoveryWindowInDays value must be between {LEAST_WINDOW} and {MOST_WINDOW} days (inclusive)."
        )
    if force:
        try:
            secret = find_secret(call, request["SecretId"], hold=True, deleted=True)
        except ResourceNotFoundException:
            # Deleting by force what is not there is no mistake, as in AWS.
            return _as_if_deleted(call, request["SecretId"])
        discard_secret(call.session, secret)
        return summary(call, secret, DeletionDate=call.now)
    secret = find_secret(call, request["SecretId"], hold=True)
    secret.deleted_at = call.now
    secret.gone_at = call.now + timedelta(days=days or MOST_WINDOW)
    return summary(call, secret, DeletionDate=secret.gone_at)


@secretsmanager.operation("RestoreSecret")
def restore_secret(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RestoreSecret.html"""
    secret = find_secret(call, request["SecretId"], hold=True, deleted=True)
    secret.deleted_at = secret.gone_at = None
    return summary(call, secret)


def render_secret(call: Call, secret: Secret, versions: Sequence[SecretVersion], *, stages: str) -> dict[str, Any]:
    """The secret without its value; ``stages`` is what the member with the versions' labels is called."""
    labels = {version.version_id: version.stages for version in versions if version.stages}
    rendered: dict[str, Any] = {
        "ARN": secret_arn(call.arns, secret),
        "Name": secret.name,
        "Description": secret.description,
        "LastChangedDate": secret.changed_at,
        "LastAccessedDate": secret.accessed_at,
        "DeletedDate": secret.deleted_at,
        "CreatedDate": secret.created_at,
        stages: labels or None,
        "Tags": secret.tags or None,
    }
    return {member: value for member, value in rendered.items() if value is not None}


def _as_if_deleted(call: Call, secret_id: str) -> dict[str, Any]:
    if secret_id.startswith("arn:"):
        raise ResourceNotFoundException
    name = check_name(secret_id)
    return {
        "ARN": call.arns.of("secretsmanager", f"secret:{name}-{new_suffix()}"),
        "Name": name,
        "DeletionDate": call.now,
    }


def _version(call: Call, secret: Secret, token: str | None) -> SecretVersion | None:
    versions = list_versions(call.session, [secret.id])
    return next((version for version in versions if version.version_id == token), None)


def _refuse_unbuilt(request: dict[str, Any], members: Sequence[str]) -> None:
    for member in members:
        if request.get(member):
            raise InvalidParameterException(
                f"{member} is not supported by Berth: secrets are of one region and account."
            )
    if (request.get("KmsKeyId") or "").split(":")[-1] not in DEFAULT_KEYS:
        raise InvalidParameterException(
            "Berth keeps secrets encrypted with its own master key and has no other keys; leave out KmsKeyId."
        )
