"""Answers as XML for the query protocol, strict or forgiving just like the JSON writers."""

import re
from typing import Any
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, Shape, StructureShape

from kit.aws.model import wire_name
from kit.aws.scalars import write_blob, write_timestamp
from kit.aws.writing import Mismatches

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text_of(value: str) -> str:
    """Text that XML 1.0 can carry: what it forbids becomes the replacement character."""
    return escape(_FORBIDDEN.sub("\ufffd", value)).replace("\r", "&#xD;")


class XmlWriters:
    """Writes the values of one service's shapes."""

    def __init__(self, mismatches: Mismatches) -> None:
        self._mismatches = mismatches

    def members(self, shape: StructureShape, value: dict[str, Any]) -> str:
        """The elements of a structure's members, without an element around them."""
        pieces: list[str] = []
        for name, item in value.items():
            if item is None:
                continue
            member = shape.members.get(name)
            if member is None:
                self._mismatches.undeclared(shape, name)
            else:
                self._write(member, item, wire_name(member, name), pieces)
        return "".join(pieces)

    def _write(self, shape: Shape, value: Any, name: str, pieces: list[str]) -> None:
        if self._mismatches.strict:
            self._mismatches.check_type(shape, value)
        match shape.type_name:
            case "structure":
                pieces.append(f"<{name}>{self.members(shape, value)}</{name}>")
            case "list":
                self._list(shape, value, name, pieces)
            case "map":
                self._map(shape, value, name, pieces)
            case _:
                pieces.append(f"<{name}>{_scalar(shape, value)}</{name}>")

    def _list(self, shape: ListShape, value: Any, name: str, pieces: list[str]) -> None:
        if shape.serialization.get("flattened"):
            item_name = shape.member.serialization.get("name", name)
            for item in value:
                self._write(shape.member, item, item_name, pieces)
            return
        item_name = shape.member.serialization.get("name", "member")
        pieces.append(f"<{name}>")
        for item in value:
            self._write(shape.member, item, item_name, pieces)
        pieces.append(f"</{name}>")

    def _map(self, shape: MapShape, value: dict[str, Any], name: str, pieces: list[str]) -> None:
        flattened = shape.serialization.get("flattened")
        entry = name if flattened else "entry"
        key_name = shape.key.serialization.get("name", "key")
        value_name = shape.value.serialization.get("name", "value")
        if not flattened:
            pieces.append(f"<{name}>")
        for key, item in value.items():
            pieces.append(f"<{entry}>")
            self._write(shape.key, key, key_name, pieces)
            self._write(shape.value, item, value_name, pieces)
            pieces.append(f"</{entry}>")
        if not flattened:
            pieces.append(f"</{name}>")


def _scalar(shape: Shape, value: Any) -> str:
    match shape.type_name:
        case "boolean":
            return "true" if value else "false"
        case "timestamp":
            spelling = str(shape.serialization.get("timestampFormat", "iso8601")).lower()
            return str(write_timestamp(value, spelling))
        case "blob":
            return write_blob(value)
    return text_of(str(value))
