"""Reading JSON of unknown quality: each reader answers the asked type or raises BadPayload naming the place."""

import json
import math
from collections.abc import Mapping
from typing import Any


class BadPayload(Exception):
    """The payload cannot be run as it stands; the text says which member and why."""


def mapping(raw: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise BadPayload(f"{where}: expected an object")
    return raw


def member(raw: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    """An object member; an absent one is an empty object."""
    return mapping(raw.get(name) or {}, f"{where}.{name}")


def items(raw: Mapping[str, Any], name: str, where: str) -> list[Any]:
    """A list member; an absent one is empty."""
    value = raw.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadPayload(f"{where}.{name}: expected a list")
    return value


def objects(raw: Mapping[str, Any], name: str, where: str) -> list[tuple[Mapping[str, Any], str]]:
    """A list of objects, each with the name of its place."""
    return [
        (mapping(item, f"{where}.{name}[{index}]"), f"{where}.{name}[{index}]")
        for index, item in enumerate(items(raw, name, where))
    ]


def texts(raw: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    values = items(raw, name, where)
    if not all(isinstance(value, str) for value in values):
        raise BadPayload(f"{where}.{name}: expected a list of texts")
    return tuple(values)


def text(raw: Mapping[str, Any], name: str, where: str, default: str | None = None) -> str:
    """A text member. Without a default it must be there and not be empty."""
    value = raw.get(name)
    if value is None or value == "":
        if default is None:
            raise BadPayload(f"{where}.{name}: is missing")
        return default
    if not isinstance(value, str):
        raise BadPayload(f"{where}.{name}: expected a text")
    return value


def number(raw: Mapping[str, Any], name: str, where: str) -> float | None:
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise BadPayload(f"{where}.{name}: expected a number of 0 or more")
    return value


def whole(raw: Mapping[str, Any], name: str, where: str, *, most: int = 2**53) -> int | None:
    value = number(raw, name, where)
    if value is None:
        return None
    if value != int(value) or value > most:
        raise BadPayload(f"{where}.{name}: expected a whole number of at most {most}")
    return int(value)


def yes_or_no(raw: Mapping[str, Any], name: str, where: str, default: bool) -> bool:
    value = raw.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise BadPayload(f"{where}.{name}: expected true or false")
    return value


def text_map(raw: Mapping[str, Any], name: str, where: str) -> dict[str, str]:
    """A map of text to text, or ECS's list of ``{name, value}``."""
    value = raw.get(name) or {}
    if isinstance(value, list):
        pairs = objects(raw, name, where)
        value = {text(pair, "name", place): text(pair, "value", place, "") for pair, place in pairs}
    value = mapping(value, f"{where}.{name}")
    if not all(isinstance(v, str) for v in value.values()):
        raise BadPayload(f"{where}.{name}: expected texts as values")
    return dict(value)


def embedded(raw: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    """An object that travels as a JSON text, as ``dockerConfig.hostConfig`` does. Absent and ``null`` are empty."""
    value = raw.get(name)
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise BadPayload(f"{where}.{name}: not JSON: {error}") from error
    return dict(mapping(value if value is not None else {}, f"{where}.{name}"))
