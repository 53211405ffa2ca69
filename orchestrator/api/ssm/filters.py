"""Filters of parameters. Source: Systems Manager API, ParameterStringFilter."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kit.aws.errors import ValidationException
from orchestrator.api.ssm.errors import InvalidFilterKey, InvalidFilterOption, InvalidFilterValue
from orchestrator.api.ssm.parameters import DEFAULT_KEY
from state.parameters import Parameter, ParameterVersion

Fits = Callable[[Parameter, ParameterVersion], bool]
OPTIONS = {
    "Name": ("Equals", "BeginsWith", "Contains"),
    "Path": ("OneLevel", "Recursive"),
    "Label": ("Equals",),
}
USUAL_OPTIONS = ("Equals", "BeginsWith")
TYPES = ("String", "StringList", "SecureString")


def read_filters(filters: Sequence[Mapping[str, Any]], *, keys: Sequence[str], tags: bool) -> list[Fits]:
    """What each filter asks of a parameter; raises AWS's errors for one that is none."""
    seen = set()
    made = []
    for one in filters:
        key = one["Key"]
        if key in seen:
            raise ValidationException("The following filters are duplicated in the request: " + key)
        seen.add(key)
        made.append(_read(one, keys, tags))
    return made


def under(path: str, *, recursive: bool) -> Callable[[str], bool]:
    """Whether a name is beneath the path: at any depth, or just below it."""
    prefix = path.rstrip("/") + "/"

    def fits(name: str) -> bool:
        if prefix == "/":
            rest = name.removeprefix("/")
        elif name.startswith(prefix):
            rest = name[len(prefix) :]
        else:
            return False
        return recursive or "/" not in rest

    return fits


def check_path(path: str) -> str:
    """The path itself; raises ValidationException unless it can be one."""
    if not path.startswith("/") or "//" in path:
        raise ValidationException(
            "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward "
            f'slash "/". It can\'t be prefixed with "aws" or "ssm" (case-insensitive): {path[:256]}'
        )
    return path


def _read(one: Mapping[str, Any], keys: Sequence[str], tags: bool) -> Fits:
    key, values = one["Key"], one.get("Values") or ()
    if key not in keys and not (tags and key.startswith("tag:")):
        raise InvalidFilterKey(f"The following filter key is not valid here: {key}. Valid filter keys include: {keys}.")
    options = OPTIONS.get(key, USUAL_OPTIONS)
    option = one.get("Option") or options[0]
    if option not in options:
        raise InvalidFilterOption(
            f"The following filter option is not valid: {option}. Valid options include: {options}."
        )
    if key.startswith("tag:"):
        name = key.removeprefix("tag:")
        return lambda parameter, version: any(
            tag["Key"] == name and (not values or _matches(tag["Value"], option, values)) for tag in parameter.tags
        )
    if not values:
        raise InvalidFilterValue(f"The following filter values are missing: filter {key} needs some.")
    match key:
        case "Path":
            tests = [under(check_path(path), recursive=option == "Recursive") for path in values]
            return lambda parameter, version: any(test(parameter.name) for test in tests)
        case "Name":
            return lambda parameter, version: _names_match(parameter.name, option, values)
        case "Type":
            if option == "Equals" and (wrong := [value for value in values if value not in TYPES]):
                raise InvalidFilterValue(f"The following filter value is not valid: {wrong[0]}. Valid values: {TYPES}.")
            return lambda parameter, version: _matches(version.type, option, values)
        case "KeyId":
            return lambda parameter, version: version.type == "SecureString" and _matches(DEFAULT_KEY, option, values)
        case "Tier":
            return lambda parameter, version: _matches(version.tier, option, values)
        case "DataType":
            return lambda parameter, version: _matches(version.data_type, option, values)
        case _:
            return lambda parameter, version: any(label in values for label in version.labels)


def _names_match(name: str, option: str, values: Sequence[str]) -> bool:
    # A root's slash may be left out.
    return _matches(name, option, values) or (
        option != "Contains" and _matches(name, option, ["/" + value.removeprefix("/") for value in values])
    )


def _matches(text: str, option: str, values: Sequence[str]) -> bool:
    match option:
        case "Equals":
            return text in values
        case "BeginsWith":
            return text.startswith(tuple(values))
        case _:
            return any(value in text for value in values)
