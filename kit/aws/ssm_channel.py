"""The data channel of Session Manager: the frames that ``session-manager-plugin`` speaks on a session's stream URL.

A client opens the channel with one text frame that carries the token; everything after is binary frames with a
header of 116 bytes, numbered in each direction and acknowledged. Source: the plugin's and the SSM agent's own sources.
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from uuid import UUID

INPUT = "input_stream_data"
OUTPUT = "output_stream_data"
ACKNOWLEDGE = "acknowledge"
CLOSED = "channel_closed"
SCHEMA_VERSION = 1
SYN, FIN = 1, 2
# Header length, message type, schema version, milliseconds, number, flags, message id, digest, payload type.
_HEADER = struct.Struct(">I32sIQqQ16s32sI")
HEADER_LENGTH = _HEADER.size
LARGEST_PAYLOAD = 1024 * 1024


class Kind(IntEnum):
    """What a payload is."""

    OUTPUT = 1
    ERROR = 2
    SIZE = 3
    PARAMETER = 4
    HANDSHAKE_REQUEST = 5
    HANDSHAKE_RESPONSE = 6
    HANDSHAKE_COMPLETE = 7
    FLAG = 10
    STDERR = 11
    EXIT_CODE = 12


class BadFrame(ValueError):
    """Bytes that are no frame of a data channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame. ``created_at`` is milliseconds since the epoch; ``kind`` is any number, known or not."""

    type: str
    number: int
    message_id: UUID
    created_at: int = 0
    flags: int = 0
    kind: int = 0
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """The frame's bytes."""
    head = _HEADER.pack(
        HEADER_LENGTH,
        frame.type.encode().ljust(32),
        SCHEMA_VERSION,
        frame.created_at,
        frame.number,
        frame.flags,
        _swapped(frame.message_id.bytes),
        hashlib.sha256(frame.payload).digest(),
        frame.kind,
    )
    return head + struct.pack(">I", len(frame.payload)) + frame.payload


def decode(raw: bytes) -> Frame:
    """The frame in ``raw``. Raises BadFrame."""
    if len(raw) < HEADER_LENGTH + 4:
        raise BadFrame(f"a frame has {HEADER_LENGTH + 4} bytes at least, not {len(raw)}")
    length, kind_name, version, created_at, number, flags, message_id, digest, kind = _HEADER.unpack_from(raw)
    if length != HEADER_LENGTH or version != SCHEMA_VERSION:
        raise BadFrame(f"a header of {length} bytes of version {version} is not known")
    (size,) = struct.unpack_from(">I", raw, HEADER_LENGTH)
    payload = raw[HEADER_LENGTH + 4 :]
    if size != len(payload) or size > LARGEST_PAYLOAD:
        raise BadFrame(f"{len(payload)} bytes of payload follow where {size} are told")
    if payload and digest != hashlib.sha256(payload).digest():
        raise BadFrame("the payload does not have its digest")
    return Frame(
        type=kind_name.rstrip(b"\0 ").decode("latin-1"),
        number=number,
        message_id=UUID(bytes=_swapped(message_id)),
        created_at=created_at,
        flags=flags,
        kind=kind,
        payload=payload,
    )


def acknowledgement(frame: Frame) -> bytes:
    """The payload that says that ``frame`` has arrived."""
    return write_json(
        AcknowledgedMessageType=frame.type,
        AcknowledgedMessageId=str(frame.message_id),
        AcknowledgedMessageSequenceNumber=frame.number,
        IsSequentialMessage=True,
    )


def read_token(opening: str) -> str:
    """The token in the text frame that opens a channel. Raises BadFrame."""
    token = read_json(opening).get("TokenValue")
    if not isinstance(token, str):
        raise BadFrame("the first frame has no TokenValue")
    return token


def read_json(payload: bytes | str) -> dict[str, Any]:
    """A payload that is an object. Raises BadFrame."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadFrame("not an object")
    return found


def write_json(**members: Any) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


def _swapped(raw: bytes) -> bytes:
    """On the wire the second half of an id comes first."""
    return raw[8:] + raw[:8]
