"""How parameters are named: by name or ARN, with a version or a label behind a colon where a reader asks for one."""

import re
from collections.abc import Iterator

from kit.aws.errors import AccessDeniedException, ValidationException
from kit.ids import Arns
from orchestrator.api.ssm.errors import (
    HierarchyLevelLimitExceededException,
    ParameterNotFound,
    ParameterVersionNotFound,
)
from orchestrator.call import Call
from state.parameters import Parameter, ParameterVersion, get_parameter, list_parameter_versions

_NAME = re.compile(r"[A-Za-z0-9_./-]{1,1011}")
MOST_LEVELS = 15


def parameter_arn(arns: Arns, name: str) -> str:
    return arns.of("ssm", f"parameter/{name.removeprefix('/')}")


def check_new_name(given: str) -> str:
    """The name that a parameter is given, without blanks around it; raises AWS's errors for one it cannot have."""
    name = given.strip(" ")
    first = name.removeprefix("/").split("/")[0].lower()
    if first.startswith("aws"):
        raise AccessDeniedException(f"No access to reserved parameter name: {name}.")
    if _NAME.fullmatch(name) is None or first.startswith("ssm") or name.endswith("/") or "//" in name:
        raise ValidationException(
            'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of '
            "sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the "
            "following 3 symbols .-_"
        )
    if "/" in name and not name.startswith("/"):
        raise ValidationException("Parameter name must be a fully qualified name.")
    if name.count("/") > MOST_LEVELS:
        raise HierarchyLevelLimitExceededException(
            f"Hierarchy level for the parameter exceeded the maximum depth of {MOST_LEVELS}."
        )
    return name


def find_parameter(call: Call, given: str, *, hold: bool = False) -> Parameter:
    """The parameter of a name or an ARN, or ParameterNotFound."""
    for name in _names(call.arns, given.strip(" ")):
        parameter = get_parameter(call.session, name, hold=hold) if _NAME.fullmatch(name) else None
        if parameter is not None:
            return parameter
    raise ParameterNotFound


def find_selected(call: Call, given: str) -> tuple[ParameterVersion, str | None]:
    """The version that ``NAME``, ``NAME:3`` or ``NAME:label`` means, and the selector, if there is one."""
    whole = given.strip(" ")
    place = 6 if whole.startswith("arn:") else 1
    parts = whole.split(":")
    selector = ":".join(parts[place:]) if len(parts) > place else None
    parameter = find_parameter(call, ":".join(parts[:place]))
    versions = list_parameter_versions(call.session, parameter.name)
    wanted = str(parameter.latest) if selector is None else selector
    for version in versions:
        if str(version.number) == wanted or wanted in version.labels:
            return version, selector
    raise ParameterVersionNotFound(
        f"Systems Manager could not find version {wanted} of {parameter.name}. Verify the version and try again."
    )


def _names(arns: Arns, given: str) -> Iterator[str]:
    """What may be meant: an ARN does not tell ``/name`` from ``name``."""
    if not given.startswith("arn:"):
        yield given
        return
    path = (arns.own("ssm", given) or "").removeprefix("parameter")
    if path.startswith("/"):
        yield path
        if path.count("/") == 1:
            yield path[1:]
