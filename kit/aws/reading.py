"""From the tree a request carries to the values a handler gets, typed and checked in one pass.

Each shape is compiled once, when first met, into a closure. A value of the wrong type is a SerializationException at
once; a value that breaks a constraint is a finding in the Trouble. Unknown members and nulls are passed over.
"""

from collections.abc import Callable
from typing import Any

from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from kit.aws.constraints import Path, Trouble, fallback, length_checks, range_checks, shown, string_checks
from kit.aws.errors import SerializationException
from kit.aws.model import is_document, wire_name
from kit.aws.scalars import (
    INTEGER_RANGE,
    LONG_RANGE,
    mismatch,
    read_blob,
    read_decimal,
    read_timestamp,
    read_whole,
)

Read = Callable[[Any, Path, Any, Trouble], Any]

_DEEPEST_DOCUMENT = 64


class Readers:
    """The compiled readers of one service's shapes."""

    def __init__(self, model: ServiceModel) -> None:
        self._compiled: dict[str, Read] = {}
        # Log lines may hold anything; elsewhere a NUL has no meaning, and not every store can keep one.
        self._nul_allowed = model.service_name == "logs"
        self._service = model.service_name

    def reader(self, shape: Shape) -> Read:
        """The reader of a shape; same shape, same reader."""
        found = self._compiled.get(shape.name)
        if found is None:
            found = self._compiled[shape.name] = self._compile(shape)
        return found

    def _compile(self, shape: Shape) -> Read:
        match shape.type_name:
            case "structure":
                return _document if is_document(shape) else self._structure(shape)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
            case "string" | "character":
                return self._string(shape)
            case "integer":
                return _whole(shape, INTEGER_RANGE, "an Integer")
            case "long":
                return _whole(shape, LONG_RANGE, "a Long")
            case "float" | "double":
                return _decimal(shape)
            case "boolean":
                return _boolean
            case "timestamp":
                return lambda value, path, key, trouble: read_timestamp(value)
            case "blob":
                return _blob(shape)
        raise ValueError(f"no reader for shape type {shape.type_name}")

    def _structure(self, shape: StructureShape) -> Read:
        # The table is filled at first use, so that shapes may hold themselves.
        table: dict[str, tuple[str, Read]] | None = None
        required = tuple(shape.required_members)
        # Clients send empty lists and maps for "none", so only a required one has to reach its minimum size.
        filled = tuple(name for name in required if _has_minimum(shape.members[name]))
        union = bool(getattr(shape, "is_tagged_union", False))

        def fill() -> dict[str, tuple[str, Read]]:
            return {wire_name(member, name): (name, self.reader(member)) for name, member in shape.members.items()}

        def read(value: Any, path: Path, key: Any, trouble: Trouble) -> dict[str, Any]:
            nonlocal table
            if table is None:
                table = fill()
            if type(value) is not dict:
                raise mismatch(value, "a Structure")
            here = (path, key)
            out = {}
            for wire, item in value.items():
                if item is None:
                    continue
                known = table.get(wire)
                if known is not None:
                    name, read_member = known
                    out[name] = read_member(item, here, name, trouble)
            for name in required:
                if name not in out:
                    trouble.add("null", here, name, "not be null")
            for name in filled:
                if name in out and not out[name]:
                    trouble.add("'[]'", here, name, "have length greater than or equal to 1")
            if union and len(out) != 1:
                raise SerializationException(f"Union {shape.name} must have exactly one member set")
            return out

        return read

    def _list(self, shape: ListShape) -> Read:
        read_item = self.reader(shape.member)
        check = length_checks(shape)

        def read(value: Any, path: Path, key: Any, trouble: Trouble) -> list[Any]:
            if type(value) is not list:
                raise mismatch(value, "a List")
            here = (path, key)
            out = []
            for i, item in enumerate(value):
                if item is None:
                    raise SerializationException("A list must not hold null")
                out.append(read_item(item, here, i, trouble))
            if check is not None and out:
                check(out, path, key, trouble)
            return out

        return read

    def _map(self, shape: MapShape) -> Read:
        read_key, read_value = self.reader(shape.key), self.reader(shape.value)
        check = length_checks(shape)

        def read(value: Any, path: Path, key: Any, trouble: Trouble) -> dict[str, Any]:
            if type(value) is not dict:
                raise mismatch(value, "a Map")
            here = (path, key)
            out = {
                read_key(name, here, "key", trouble): read_value(item, here, name, trouble)
                for name, item in value.items()
                if item is not None
            }
            if check is not None and out:
                check(out, path, key, trouble)
            return out

        return read

    def _string(self, shape: Shape) -> Read:
        instead = fallback(self._service, shape)
        if instead is not None:
            return _falling_back(frozenset(shape.metadata["enum"]), instead)
        check = string_checks(self._service, shape)
        nul_allowed = self._nul_allowed

        def read(value: Any, path: Path, key: Any, trouble: Trouble) -> str:
            if type(value) is not str:
                raise mismatch(value, "a String")
            if check is not None:
                check(value, path, key, trouble)
            if "\0" in value and not nul_allowed:
                trouble.add(shown(value.replace("\0", "\\0"), shape), path, key, "not contain a NUL character")
            return value

        return read


def _has_minimum(shape: Shape) -> bool:
    return shape.type_name in ("list", "map") and bool(shape.metadata.get("min"))


def _falling_back(known: frozenset[str], instead: str) -> Read:
    def read(value: Any, path: Path, key: Any, trouble: Trouble) -> str:
        if type(value) is not str:
            raise mismatch(value, "a String")
        return value if value in known else instead

    return read


def _whole(shape: Shape, limits: tuple[int, int], wanted: str) -> Read:
    check = range_checks(shape)

    def read(value: Any, path: Path, key: Any, trouble: Trouble) -> int:
        number = read_whole(value, limits, wanted)
        if check is not None:
            check(number, path, key, trouble)
        return number

    return read


def _decimal(shape: Shape) -> Read:
    check = range_checks(shape)

    def read(value: Any, path: Path, key: Any, trouble: Trouble) -> float:
        number = read_decimal(value)
        if check is not None:
            check(number, path, key, trouble)
        return number

    return read


def _boolean(value: Any, path: Path, key: Any, trouble: Trouble) -> bool:
    if type(value) is not bool:
        raise mismatch(value, "a Boolean")
    return value


def _blob(shape: Shape) -> Read:
    check = length_checks(shape)

    def read(value: Any, path: Path, key: Any, trouble: Trouble) -> bytes:
        # A payload member arrives as the bytes it is.
        raw = value if type(value) is bytes else read_blob(value)
        if check is not None:
            check(raw, path, key, trouble)
        return raw

    return read


def _document(value: Any, path: Path, key: Any, trouble: Trouble) -> Any:
    _check_document(value, 0)
    return value


def _check_document(value: Any, depth: int) -> None:
    if depth > _DEEPEST_DOCUMENT:
        raise SerializationException(f"A document may be nested {_DEEPEST_DOCUMENT} levels deep at most")
    if type(value) is dict:
        for item in value.values():
            _check_document(item, depth + 1)
    elif type(value) is list:
        for item in value:
            _check_document(item, depth + 1)
    elif type(value) is float:
        read_decimal(value)
