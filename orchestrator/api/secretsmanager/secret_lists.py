"""Many secrets at once: listed without their values, and read together with them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kit.aws.errors import AwsError, InvalidParameterException
from kit.aws.paging import decode_token, encode_token, scope_of
from orchestrator.api.secretsmanager.errors import InvalidNextTokenException
from orchestrator.api.secretsmanager.filters import check_filters, fits
from orchestrator.api.secretsmanager.naming import find_secret
from orchestrator.api.secretsmanager.secret_values import choose_version, note_access, render_value
from orchestrator.api.secretsmanager.secrets import render_secret
from orchestrator.api.secretsmanager.wire import secretsmanager
from orchestrator.call import Call
from orchestrator.errand import Errand
from state.secrets import Secret, SecretVersion, list_secrets, list_versions, position

PAGE = 100
VALUES_PAGE = 20
# Secrets that are looked at together while a page is filled with those that fit.
CHUNK = 500


@secretsmanager.operation("ListSecrets")
def list_all_secrets(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html"""
    secrets, more = _page(call, "ListSecrets", request, request.get("MaxResults") or PAGE)
    versions: dict[str, list[SecretVersion]] = {}
    for version in list_versions(call.session, [secret.id for secret in secrets]):
        versions.setdefault(version.secret_id, []).append(version)
    rendered = [
        render_secret(call, secret, versions.get(secret.id, ()), stages="SecretVersionsToStages") for secret in secrets
    ]
    return {"SecretList": rendered, **more}


@secretsmanager.operation("BatchGetSecretValue", outside=True)
def batch_get_secret_value(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html"""
    ids, filters = request.get("SecretIdList"), request.get("Filters")
    if bool(ids) == bool(filters):
        raise InvalidParameterException("Either 'SecretIdList' or 'Filters' must be provided, but not both.")
    if ids and (request.get("MaxResults") or request.get("NextToken")):
        raise InvalidParameterException("MaxResults and NextToken go with Filters, not with SecretIdList.")

    def read(call: Call) -> tuple[dict[str, Any], list[SecretVersion], datetime]:
        more: dict[str, Any] = {}
        if filters:
            secrets, more = _page(call, "BatchGetSecretValue", request, request.get("MaxResults") or VALUES_PAGE)
            ids_read: Sequence[str] = [secret.name for secret in secrets]
        else:
            ids_read = list(dict.fromkeys(ids or ()))
        values, errors, read_versions = [], [], []
        for secret_id in ids_read:
            try:
                secret = find_secret(call, secret_id)
                version = choose_version(list_versions(call.session, [secret.id]), None, None)
                values.append(render_value(call, secret, version))
                read_versions.append(version)
            except AwsError as error:
                errors.append({"SecretId": secret_id, "ErrorCode": error.code, "Message": error.message})
        return {"SecretValues": values, "Errors": errors, **more}, read_versions, call.now

    answer, read_versions, now = errand.read(read)
    note_access(errand, read_versions, now)
    return answer


def _page(call: Call, operation: str, request: dict[str, Any], limit: int) -> tuple[list[Secret], dict[str, Any]]:
    """A page of the secrets that a request's filters let through, and the token of the next, if any."""
    filters = request.get("Filters") or []
    check_filters(filters)
    sort = request.get("SortBy") or "created-date"
    # By default the newest come first.
    descending = (request.get("SortOrder") or "desc") == "desc"
    planned = bool(request.get("IncludePlannedDeletion"))
    scope = scope_of(operation, filters=filters, sort=sort, descending=descending, planned=planned)
    token = request.get("NextToken")
    after = decode_token(token, scope=scope, error=InvalidNextTokenException) if token else []
    found: list[Secret] = []
    while True:
        chunk = list_secrets(
            call.session, sort=sort, descending=descending, planned=planned, now=call.now, after=after, limit=CHUNK
        )
        found += [secret for secret in chunk if fits(secret, filters)]
        if len(found) > limit:
            return found[:limit], {"NextToken": encode_token(position(found[limit - 1], sort), scope=scope)}
        if len(chunk) < CHUNK:
            return found, {}
        after = position(chunk[-1], sort)
