"""Scalars on the wire: timestamps in their four spellings, base64, and numbers that are really numbers."""

import base64
import binascii
import math
import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from kit.aws.errors import SerializationException

INTEGER_RANGE = (-(2**31), 2**31 - 1)
LONG_RANGE = (-(2**63), 2**63 - 1)

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,32}(\.\d{0,32})?|\.\d{1,32})([eE][+-]?\d{1,3})?", re.ASCII)


def kind_of(value: Any) -> str:
    """What AWS calls a JSON value in its messages."""
    match value:
        case True:
            return "TRUE_VALUE"
        case False:
            return "FALSE_VALUE"
        case None:
            return "NULL_VALUE"
        case str():
            return "STRING_VALUE"
        case int():
            return "NUMBER_VALUE"
        case float():
            return "DECIMAL_VALUE"
        case list():
            return "START_ARRAY"
        case _:
            return "START_OBJECT"


def mismatch(value: Any, wanted: str) -> SerializationException:
    """The error for a value of the wrong type."""
    return SerializationException(f"{kind_of(value)} can not be converted to {wanted}")


def read_timestamp(value: Any) -> datetime:
    """An instant in UTC from epoch seconds, ISO 8601 or an HTTP date."""
    try:
        if type(value) in (int, float):
            return _from_epoch(value)
        if type(value) is str:
            text = value.strip()
            if len(text) > 64:
                raise ValueError
            if _NUMBER.fullmatch(text):
                return _from_epoch(float(text))
            if _ISO.fullmatch(text):
                return datetime.fromisoformat(text).astimezone(UTC)
            return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        raise SerializationException(f"{str(value)[:64]!r} is not a timestamp") from None
    raise mismatch(value, "a Timestamp")


def _from_epoch(value: float) -> datetime:
    # Whole microseconds are taken from a rounded float, so that 1700000000.123 is exactly that instant again.
    if not math.isfinite(value):
        raise ValueError
    seconds = math.floor(value)
    micros = round((value - seconds) * 1_000_000)
    return datetime.fromtimestamp(seconds + micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)


def write_timestamp(value: Any, spelling: str) -> Any:
    """An instant in the model's spelling, to the millisecond; numbers are taken as epoch seconds."""
    if isinstance(value, (int, float)):
        if spelling == "unixtimestamp":
            return value
        value = datetime.fromtimestamp(value, UTC)
    at = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if spelling == "unixtimestamp":
        return round(at.timestamp(), 3)
    at = at.astimezone(UTC)
    if spelling == "rfc822":
        return format_datetime(at.replace(microsecond=0), usegmt=True)
    return at.isoformat(timespec="milliseconds" if at.microsecond else "seconds").replace("+00:00", "Z")


def read_blob(value: Any) -> bytes:
    """The bytes of base64 text, strictly."""
    if type(value) is not str:
        raise mismatch(value, "a Blob")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise SerializationException("A blob is not valid base64") from None


def write_blob(value: bytes | bytearray | str) -> str:
    """Bytes as base64; text is taken as UTF-8."""
    raw = value.encode() if isinstance(value, str) else bytes(value)
    return base64.b64encode(raw).decode("ascii")


def read_whole(value: Any, limits: tuple[int, int], wanted: str) -> int:
    """An integer, also when spelled ``5.0``; anything else, or one out of range, is an error."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise mismatch(value, wanted)
    if not limits[0] <= value <= limits[1]:
        raise SerializationException(f"A number is out of the range of {wanted}")
    return value


def read_decimal(value: Any) -> float:
    """A finite number; infinities and what is no number are errors."""
    if type(value) not in (int, float):
        raise mismatch(value, "a Double")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise SerializationException("A number is out of the range of a Double")
    return number


def scalar_from_text(type_name: str, text: str) -> Any:
    """A scalar from a form, header, label or query; text that is none of its type is for the reader to refuse."""
    match type_name:
        case "integer" | "long":
            return int(text) if re.fullmatch(r"[+-]?\d{1,20}", text, re.ASCII) else text
        case "float" | "double":
            return float(text) if _NUMBER.fullmatch(text) else text
        case "boolean":
            return {"true": True, "false": False}.get(text.lower(), text)
    return text
