"""The versions of a secret: listed, and their staging labels moved."""

from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.aws.paging import page, scope_of
from orchestrator.api.secretsmanager.errors import InvalidNextTokenException, ResourceNotFoundException
from orchestrator.api.secretsmanager.labels import CURRENT, drop_label, holder_of, move_label
from orchestrator.api.secretsmanager.naming import find_secret, summary
from orchestrator.api.secretsmanager.wire import secretsmanager
from orchestrator.call import Call
from state.secrets import SecretVersion, list_versions

PAGE = 100


@secretsmanager.operation("ListSecretVersionIds")
def list_secret_version_ids(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html"""
    secret = find_secret(call, request["SecretId"], deleted=True)
    deprecated = bool(request.get("IncludeDeprecated"))
    versions = [version for version in list_versions(call.session, [secret.id]) if version.stages or deprecated]
    given, more = page(
        versions,
        key=lambda version: (version.created_at.isoformat(), version.version_id),
        limit=request.get("MaxResults") or PAGE,
        token=request.get("NextToken"),
        scope=scope_of("ListSecretVersionIds", secret=secret.id, deprecated=deprecated),
        error=InvalidNextTokenException,
    )
    answer = summary(call, secret, Versions=[_render(version) for version in given])
    return {**answer, "NextToken": more} if more else answer


@secretsmanager.operation("UpdateSecretVersionStage")
def update_secret_version_stage(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html"""
    label, source, target = request["VersionStage"], request.get("RemoveFromVersionId"), request.get("MoveToVersionId")
    if not source and not target:
        raise InvalidParameterException("You must provide RemoveFromVersionId, MoveToVersionId, or both.")
    secret = find_secret(call, request["SecretId"], hold=True)
    versions = list_versions(call.session, [secret.id])
    by_id = {version.version_id: version for version in versions}
    for version_id in (source, target):
        if version_id and version_id not in by_id:
            raise ResourceNotFoundException(
                f"Secrets Manager can't find the specified secret value for VersionId: {version_id}"
            )
    holder = holder_of(versions, label)
    if source and (holder is None or holder.version_id != source):
        raise InvalidParameterException(
            f"The staging label {label} is currently not attached to version {source}, so it can't be removed from it."
        )
    if target is None:
        assert holder is not None, "a label that is removed was found on its version"
        if label == CURRENT:
            raise InvalidParameterException(
                f"You can only move staging label {CURRENT} to a different secret version. It can't be completely "
                "removed."
            )
        drop_label(holder, label)
    else:
        if holder is not None and holder.version_id != target and not source:
            raise InvalidParameterException(
                f"The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to "
                f"version {holder.version_id}, so you must explicitly reference that version in RemoveFromVersionId."
            )
        move_label(versions, label, by_id[target])
    secret.changed_at = call.now
    return summary(call, secret)


def _render(version: SecretVersion) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "VersionId": version.version_id,
        "VersionStages": version.stages or None,
        "LastAccessedDate": version.accessed_at,
        "CreatedDate": version.created_at,
    }
    return {member: value for member, value in rendered.items() if value is not None}
