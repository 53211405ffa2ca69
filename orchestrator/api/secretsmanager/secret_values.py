"""Secrets' values: written as versions, read by id or label. No value is ever part of a message or of a log."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import update

from kit.aws.errors import InvalidParameterException
from kit.secrets import SecretBox, Undecipherable
from orchestrator.agents.own_secrets import check_own_secret
from orchestrator.api.secretsmanager.errors import (
    DecryptionFailure,
    InvalidRequestException,
    ResourceExistsException,
    ResourceNotFoundException,
)
from orchestrator.api.secretsmanager.labels import CURRENT, holder_of, move_label
from orchestrator.api.secretsmanager.naming import day_of, find_secret, secret_arn, summary, without_suffix
from orchestrator.api.secretsmanager.wire import secretsmanager
from orchestrator.call import Call
from orchestrator.errand import Errand
from state.secrets import Secret, SecretVersion, list_versions, prune_versions

Value = str | bytes


# Outside of any transaction: nearly every reading of a value only reads, and one a day also writes the date.
@secretsmanager.operation("GetSecretValue", outside=True)
def get_secret_value(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html"""

    def read(call: Call) -> tuple[dict[str, Any], Sequence[SecretVersion], datetime]:
        secret = find_secret(call, request["SecretId"])
        version = choose_version(
            list_versions(call.session, [secret.id]), request.get("VersionId"), request.get("VersionStage")
        )
        return render_value(call, secret, version), [version], call.now

    answer, read_versions, now = errand.read(read)
    note_access(errand, read_versions, now)
    return answer


@secretsmanager.operation("PutSecretValue")
def put_secret_value(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html"""
    value = asked_value(request)
    if value is None:
        raise InvalidParameterException("You must provide either SecretString or SecretBinary.")
    if request.get("RotationToken"):
        raise InvalidParameterException("Berth does not rotate secrets across accounts; leave out RotationToken.")
    stages = request.get("VersionStages") or [CURRENT]
    secret = find_secret(call, request["SecretId"], hold=True)
    version = put_version(call, secret, value, request.get("ClientRequestToken"), stages)
    return summary(call, secret, VersionId=version.version_id, VersionStages=version.stages)


def asked_value(request: dict[str, Any]) -> Value | None:
    """The value that a request carries; raises when it carries two."""
    text, binary = request.get("SecretString"), request.get("SecretBinary")
    if text is not None and binary is not None:
        raise InvalidParameterException(
            "You can't specify both a binary secret value and a string secret value in the same secret."
        )
    return text if text is not None else binary


def put_version(
    call: Call, secret: Secret, value: Value, token: str | None, stages: Sequence[str] = (CURRENT,)
) -> SecretVersion:
    """Keep the value as the version that the client token names; asked again with the same value, nothing changes."""
    if not token:
        raise InvalidParameterException("You must provide a ClientRequestToken value. We recommend a UUID-type value.")
    versions = list(list_versions(call.session, [secret.id]))
    version = next((version for version in versions if version.version_id == token), None)
    if version is not None:
        if open_value(call.secrets, version) != value:
            raise ResourceExistsException(
                f"You can't use ClientRequestToken {token} because that value is already in use for a version of "
                f"secret {secret_arn(call.arns, secret)}."
            )
        return version
    binary = isinstance(value, bytes)
    text = base64.b64encode(value).decode() if isinstance(value, bytes) else value
    version = SecretVersion(
        secret_id=secret.id,
        version_id=token,
        sealed=call.secrets.encrypt(text),
        binary=binary,
        stages=[],
        created_at=call.now,
    )
    call.session.add(version)
    versions.append(version)
    for stage in dict.fromkeys(stages):
        move_label(versions, stage, version)
    # The row of the secret is written with every version, so that two writers cannot pass each other.
    secret.changed_at = call.now
    prune_versions(call.session, versions)
    return version


def choose_version(versions: Sequence[SecretVersion], version_id: str | None, stage: str | None) -> SecretVersion:
    """The version that a reader asks for: by id, by label, by both, or the current one."""
    if version_id is not None:
        found = next((version for version in versions if version.version_id == version_id), None)
        if found is None:
            raise ResourceNotFoundException(
                f"Secrets Manager can't find the specified secret value for VersionId: {version_id}"
            )
        if stage is not None and stage not in found.stages:
            raise InvalidRequestException(
                "You provided a VersionStage that is not associated to the provided VersionId."
            )
        return found
    found = holder_of(versions, stage or CURRENT)
    if found is None:
        raise ResourceNotFoundException(
            f"Secrets Manager can't find the specified secret value for staging label: {stage or CURRENT}"
        )
    return found


def render_value(call: Call, secret: Secret, version: SecretVersion) -> dict[str, Any]:
    """The version with its value, as GetSecretValue answers it to who may read it."""
    arn = secret_arn(call.arns, secret)
    check_own_secret(call, secret.name, arn, without_suffix(arn))
    value = open_value(call.secrets, version)
    answer = summary(
        call,
        secret,
        VersionId=version.version_id,
        CreatedDate=version.created_at,
        **{"SecretBinary" if version.binary else "SecretString": value},
    )
    if version.stages:
        answer["VersionStages"] = version.stages
    return answer


def open_value(secrets: SecretBox, version: SecretVersion) -> Value:
    try:
        text = secrets.decrypt(version.sealed)
    except Undecipherable as trouble:
        raise DecryptionFailure from trouble
    return base64.b64decode(text) if version.binary else text


def note_access(errand: Errand, versions: Sequence[SecretVersion], now: datetime) -> None:
    """Keep the day on which the versions were read, unless that is kept already."""
    today = day_of(now)
    stale = [version for version in versions if version.accessed_at is None or version.accessed_at < today]

    def write(call: Call) -> None:
        for version in stale:
            keys = (SecretVersion.secret_id == version.secret_id, SecretVersion.version_id == version.version_id)
            call.session.execute(update(SecretVersion).where(*keys).values(accessed_at=today))
            call.session.execute(update(Secret).where(Secret.id == version.secret_id).values(accessed_at=today))

    if stale:
        errand.transact(write)
