"""Forms of the query protocol: ``Tags.member.1.Key=team`` becomes the tree that a JSON request would have carried.

The shape leads, never the form: names that no shape asks for are never looked at, so neither their number nor their
depth can hurt.
"""

import re
from typing import Any
from urllib.parse import unquote_plus

from botocore.model import ListShape, MapShape, Shape, StructureShape

from kit.aws.errors import SerializationException
from kit.aws.model import wire_name
from kit.aws.scalars import scalar_from_text

Form = dict[str | None, Any]
"""A tree of form fields; the value of a field itself stands under None, which no field can be called."""

_MOST_FIELDS = 10_000
_DEEPEST = 16
_INDEX = re.compile(r"[1-9]\d{0,5}", re.ASCII)


def parse_form(*encoded: str) -> dict[str, str]:
    """The fields of one or more ``a=b&c=d`` texts; the last of equal names wins."""
    fields: dict[str, str] = {}
    for text in encoded:
        if text.count("&") > _MOST_FIELDS:
            raise SerializationException(f"A form may have {_MOST_FIELDS} fields at most")
        for part in text.split("&"):
            if part:
                name, _, value = part.partition("=")
                try:
                    fields[unquote_plus(name, errors="strict")] = unquote_plus(value, errors="strict")
                except UnicodeDecodeError:
                    raise SerializationException("The form is not valid UTF-8") from None
    return fields


def form_tree(fields: dict[str, str], shape: StructureShape) -> dict[str, Any]:
    """The input of ``shape`` as wire names and JSON values."""
    form: Form = {}
    wanted = _field_names(shape)
    for name, value in fields.items():
        parts = name.split(".")
        if parts[0] not in wanted or len(parts) > _DEEPEST:
            continue
        node = form
        for part in parts:
            node = node.setdefault(part, {})
        node[None] = value
    return _structure(form, shape)


def _structure(form: Form, shape: StructureShape) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, member in shape.members.items():
        wire, field = wire_name(member, name), _field_name(member, name)
        if field in form:
            tree[wire] = _value(form[field], member)
        elif wire in form:
            # Even a flattened list that is empty travels under its own name.
            tree[wire] = _value(form[wire], member)
    return tree


def _field_names(shape: StructureShape) -> set[str]:
    names = {wire_name(member, name) for name, member in shape.members.items()}
    return names | {_field_name(member, name) for name, member in shape.members.items()}


def _field_name(member: Shape, name: str) -> str:
    """The name a member's fields begin with: a flattened list takes the name of its items, when they have one."""
    wire = wire_name(member, name)
    if _flattened(member) and member.type_name == "list":
        return str(member.member.serialization.get("name", wire))
    return wire


def _value(form: Form, shape: Shape) -> Any:
    match shape.type_name:
        case "structure":
            return _structure(form, shape)
        case "list":
            return _list(form, shape)
        case "map":
            return _map(form, shape)
    text = form.get(None)
    if text is None:
        raise SerializationException(f"A {shape.type_name} was expected where the form has fields of a structure")
    return scalar_from_text(shape.type_name, text)


def _list(form: Form, shape: ListShape) -> list[Any]:
    inner = form
    if not _flattened(shape):
        inner = form.get(shape.member.serialization.get("name", "member"), {})
    return [_value(item, shape.member) for item in _numbered(inner)]


def _map(form: Form, shape: MapShape) -> dict[str, Any]:
    inner = form if _flattened(shape) else form.get("entry", {})
    key_name = shape.key.serialization.get("name", "key")
    value_name = shape.value.serialization.get("name", "value")
    out = {}
    for entry in _numbered(inner):
        if key_name not in entry or value_name not in entry:
            raise SerializationException("An entry of a map needs a key and a value")
        out[str(_value(entry[key_name], shape.key))] = _value(entry[value_name], shape.value)
    return out


def _numbered(form: Form) -> list[Form]:
    numbers = sorted(int(name) for name in form if name is not None and _INDEX.fullmatch(name))
    return [form[str(number)] for number in numbers]


def _flattened(shape: Shape) -> bool:
    return bool(shape.serialization.get("flattened"))
