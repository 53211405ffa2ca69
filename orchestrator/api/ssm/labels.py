"""Labels of parameters' versions: each is on one version at a time, and moves when it is given to another."""

import re
from collections.abc import Sequence
from typing import Any

from orchestrator.api.ssm.errors import ParameterVersionLabelLimitExceeded, ParameterVersionNotFound
from orchestrator.api.ssm.naming import find_parameter
from orchestrator.api.ssm.wire import ssm
from orchestrator.call import Call
from state.parameters import Parameter, ParameterVersion, list_parameter_versions

MOST_LABELS = 10
_LABEL = re.compile(r"(?!\d|aws|ssm)[a-z0-9._-]{1,100}", re.IGNORECASE | re.ASCII)


@ssm.operation("LabelParameterVersion")
def label_parameter_version(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_LabelParameterVersion.html"""
    parameter = find_parameter(call, request["Name"], hold=True)
    versions = list_parameter_versions(call.session, parameter.name)
    version = _find(parameter, versions, request.get("ParameterVersion"))
    asked = list(dict.fromkeys(request["Labels"]))
    valid = [label for label in asked if _LABEL.fullmatch(label)]
    labels = list(dict.fromkeys([*version.labels, *valid]))
    if len(labels) > MOST_LABELS:
        raise ParameterVersionLabelLimitExceeded(
            f"An error occurred (ParameterVersionLabelLimitExceeded): A parameter version can have a maximum of "
            f"{MOST_LABELS} labels. Move one or more labels to another version and try again."
        )
    for other in versions:
        if other is not version and set(valid) & set(other.labels):
            other.labels = [label for label in other.labels if label not in valid]
    version.labels = labels
    return {
        "InvalidLabels": [label for label in asked if label not in valid],
        "ParameterVersion": version.number,
    }


@ssm.operation("UnlabelParameterVersion")
def unlabel_parameter_version(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_UnlabelParameterVersion.html"""
    parameter = find_parameter(call, request["Name"], hold=True)
    versions = list_parameter_versions(call.session, parameter.name)
    version = _find(parameter, versions, request["ParameterVersion"])
    asked = list(dict.fromkeys(request["Labels"]))
    removed = [label for label in asked if label in version.labels]
    version.labels = [label for label in version.labels if label not in removed]
    return {"RemovedLabels": removed, "InvalidLabels": [label for label in asked if label not in removed]}


def _find(parameter: Parameter, versions: Sequence[ParameterVersion], number: int | None) -> ParameterVersion:
    wanted = parameter.latest if number is None else number
    for version in versions:
        if version.number == wanted:
            return version
    raise ParameterVersionNotFound(
        f"Systems Manager could not find version {wanted} of {parameter.name}. Verify the version and try again."
    )
