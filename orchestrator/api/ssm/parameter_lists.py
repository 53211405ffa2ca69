"""Many parameters: beneath a path with their values, and described by filters without them."""

from collections.abc import Callable
from typing import Any

from kit.aws.errors import ValidationException
from kit.aws.paging import decode_token, encode_token, scope_of
from orchestrator.api.ssm.errors import InvalidNextToken
from orchestrator.api.ssm.filters import check_path, read_filters, under
from orchestrator.api.ssm.reading import render_metadata, render_parameter
from orchestrator.api.ssm.wire import ssm
from orchestrator.call import Call
from state.parameters import Parameter, ParameterVersion, list_latest, list_parameter_versions

PATH_PAGE = 10
DESCRIBED_PAGE = 50
# Parameters that are looked at together while a page is filled with those that fit.
CHUNK = 500
PATH_KEYS = ("Type", "KeyId", "Label")
DESCRIBED_KEYS = ("Name", "Type", "KeyId", "Path", "Tier", "DataType")


@ssm.operation("GetParametersByPath")
def get_parameters_by_path(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html"""
    path = check_path(request["Path"])
    asked, recursive = request.get("ParameterFilters") or [], bool(request.get("Recursive"))
    filters = read_filters([one for one in asked if one["Key"] != "Label"], keys=PATH_KEYS, tags=False)
    labels = [one for one in asked if one["Key"] == "Label"]
    labelled = read_filters(labels, keys=PATH_KEYS, tags=False)
    beneath = under(path, recursive=recursive)

    def choose(parameter: Parameter, version: ParameterVersion) -> ParameterVersion | None:
        if not beneath(parameter.name):
            return None
        if labelled:
            # A label chooses a version, which need not be the latest.
            found = (
                each for each in list_parameter_versions(call.session, parameter.name) if labelled[0](parameter, each)
            )
            version = next(found, None)  # type: ignore[assignment]
        return version if version is not None and all(fits(parameter, version) for fits in filters) else None

    # In a small tree of a large store, only its own part is looked at.
    prefix = path.rstrip("/") + "/"
    scope = scope_of("GetParametersByPath", path=path, recursive=recursive, filters=asked)
    versions, more = _page(
        call,
        request,
        choose,
        scope=scope,
        limit=request.get("MaxResults") or PATH_PAGE,
        prefix=prefix.lstrip("/") and prefix,
    )
    decrypt = bool(request.get("WithDecryption"))
    rendered = []
    for version in versions:
        selector = next((label for label in version.labels if labels and label in labels[0]["Values"]), None)
        rendered.append(render_parameter(call, version, selector, decrypt=decrypt))
    return {"Parameters": rendered, **more}


@ssm.operation("DescribeParameters")
def describe_parameters(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeParameters.html"""
    asked, older = request.get("ParameterFilters") or [], request.get("Filters") or []
    if asked and older:
        raise ValidationException("You can use either Filters or ParameterFilters in a single request.")
    if request.get("Shared"):
        raise ValidationException("Shared is not supported by Berth: parameters are of one account.")
    # The older filters have no options: names and keys are prefixes, types are whole.
    asked = asked or [{**one, "Option": "Equals" if one["Key"] == "Type" else "BeginsWith"} for one in older]
    filters = read_filters(asked, keys=DESCRIBED_KEYS, tags=True)

    def choose(parameter: Parameter, version: ParameterVersion) -> ParameterVersion | None:
        return version if all(fits(parameter, version) for fits in filters) else None

    scope = scope_of("DescribeParameters", filters=asked)
    versions, more = _page(call, request, choose, scope=scope, limit=request.get("MaxResults") or DESCRIBED_PAGE)
    return {"Parameters": [render_metadata(call, version) for version in versions], **more}


def _page(
    call: Call,
    request: dict[str, Any],
    choose: Callable[[Parameter, ParameterVersion], ParameterVersion | None],
    *,
    scope: str,
    limit: int,
    prefix: str = "",
) -> tuple[list[ParameterVersion], dict[str, Any]]:
    """A page of the versions that ``choose`` answers, by name, and the token of the next page, if there is one."""
    token = request.get("NextToken")
    after = decode_token(token, scope=scope, error=InvalidNextToken) if token else ""
    found: list[ParameterVersion] = []
    while True:
        chunk = list_latest(call.session, prefix=prefix, after=after, limit=CHUNK)
        found += [chosen for parameter, version in chunk if (chosen := choose(parameter, version)) is not None]
        if len(found) > limit:
            return found[:limit], {"NextToken": encode_token(found[limit - 1].name, scope=scope)}
        if len(chunk) < CHUNK:
            return found, {}
        after = chunk[-1][0].name
