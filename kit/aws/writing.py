"""From a handler's answer to the tree that is sent as JSON.

Compiled once per shape, like the readers. Absent members are left out, never sent as null. A member that the model
does not declare is a bug of Berth's: with ``strict`` it raises, and so does a value of the wrong type; without, the
member is logged and left out.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from kit.aws.model import is_document, wire_name
from kit.aws.scalars import write_blob, write_timestamp

log = logging.getLogger(__name__)

Write = Callable[[Any], Any]

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (datetime, int, float),
    "blob": (bytes, bytearray, str),
    "list": (list, tuple),
    "map": (dict,),
    "structure": (dict,),
}


class ModelMismatch(Exception):
    """An answer does not fit the model. Always a bug, found by a test."""


class Mismatches:
    """What to do about an answer that does not fit: raise in tests, log in production."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict

    def undeclared(self, shape: Shape, member: str) -> None:
        """Report a member that a shape does not declare."""
        self.report(f"{shape.name} declares no member {member!r}")

    def report(self, text: str) -> None:
        """Raise ModelMismatch in strict mode, log otherwise."""
        if self.strict:
            raise ModelMismatch(text)
        log.error("answer does not fit the model: %s", text)

    def check_type(self, shape: Shape, value: Any) -> None:
        """In strict mode, raise unless ``value`` is of a type and an enum value the shape allows."""
        wanted = _PYTHON_TYPES[shape.type_name]
        wrong = not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted)
        if wrong:
            raise ModelMismatch(f"{shape.name} is a {shape.type_name}, not {type(value).__name__}: {value!r:.200}")
        values = shape.metadata.get("enum")
        if values and value not in values:
            raise ModelMismatch(f"{shape.name} has no value {value!r}, only {values}")


class Writers:
    """The compiled writers of one service's shapes; None stands for "as it is"."""

    def __init__(self, mismatches: Mismatches, *, timestamps: str = "unixtimestamp") -> None:
        self._mismatches = mismatches
        self._timestamps = timestamps
        self._compiled: dict[tuple[str, str], Write | None] = {}

    def writer(self, shape: Shape) -> Write | None:
        """The writer of a shape, or None when its values go out unchanged."""
        key = (shape.name, self.timestamp_format(shape) if shape.type_name == "timestamp" else "")
        if key not in self._compiled:
            write = self._compile(shape)
            self._compiled[key] = self._strictly(shape, write) if self._mismatches.strict else write
        return self._compiled[key]

    def timestamp_format(self, shape: Shape) -> str:
        """How a timestamp shape is spelled: its own format, else the protocol's."""
        return str(shape.serialization.get("timestampFormat", self._timestamps)).lower()

    def _strictly(self, shape: Shape, write: Write | None) -> Write | None:
        if is_document(shape):
            return write
        check = self._mismatches.check_type

        def strictly(value: Any) -> Any:
            check(shape, value)
            return value if write is None else write(value)

        return strictly

    def _compile(self, shape: Shape) -> Write | None:
        match shape.type_name:
            case "structure":
                return None if is_document(shape) else self._structure(shape)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
            case "timestamp":
                spelling = self.timestamp_format(shape)
                return lambda value: write_timestamp(value, spelling)
            case "blob":
                return write_blob
        return None

    def _structure(self, shape: StructureShape) -> Write:
        # Filled at first use, so that shapes may hold themselves. Most members go out under their own name as they
        # are: those are copied in one go, and only the others are visited.
        names: frozenset[str] | None = None
        visited: tuple[tuple[str, str, Write | None], ...] = ()
        undeclared = self._mismatches.undeclared

        def fill() -> None:
            nonlocal names, visited
            table = [(name, wire_name(member, name), self.writer(member)) for name, member in shape.members.items()]
            visited = tuple((name, wire, write) for name, wire, write in table if write is not None or wire != name)
            names = frozenset(shape.members)

        def write(value: dict[str, Any]) -> dict[str, Any]:
            if names is None:
                fill()
            assert names is not None
            if not value.keys() <= names:
                for name in value.keys() - names:
                    undeclared(shape, name)
                out = {name: item for name, item in value.items() if item is not None and name in names}
            elif None in value.values():
                out = {name: item for name, item in value.items() if item is not None}
            elif visited:
                out = dict(value)
            else:
                return value
            renamed = {}
            for name, wire, write_member in visited:
                if name in out:
                    item = out[name] if write_member is None else write_member(out[name])
                    if wire == name:
                        out[name] = item
                    else:
                        del out[name]
                        renamed[wire] = item
            out.update(renamed)
            return out

        return write

    def _list(self, shape: ListShape) -> Write:
        write_item = self.writer(shape.member)
        if write_item is None:
            return lambda value: [item for item in value if item is not None]
        return lambda value: [write_item(item) for item in value if item is not None]

    def _map(self, shape: MapShape) -> Write:
        write_item = self.writer(shape.value)
        if write_item is None:
            return lambda value: {name: item for name, item in value.items() if item is not None}
        return lambda value: {name: write_item(item) for name, item in value.items() if item is not None}
