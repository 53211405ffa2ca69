"""How far this machine's clock may be off, as the kernel knows it from whoever keeps it right."""

import ctypes
import struct
from dataclasses import dataclass
from datetime import datetime

# Of ``struct timex`` on 64-bit Linux: modes, then offset, freq, maxerror, esterror (microseconds) and status.
_TIMEX = struct.Struct("=I4xqqqqi")
_SIZE = 256
UNSYNCHRONIZED_STATE, UNSYNCHRONIZED_BIT = 5, 0x40


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """``bound_ms`` is the largest error in milliseconds."""

    bound_ms: float
    synchronized: bool
    at: datetime


def read_drift(now: datetime) -> Drift | None:
    """Ask the kernel; None where it does not say."""
    buffer = ctypes.create_string_buffer(_SIZE)
    try:
        state = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    _, _, _, most, _, status = _TIMEX.unpack_from(buffer)
    return Drift(
        bound_ms=most / 1000,
        synchronized=state != UNSYNCHRONIZED_STATE and not status & UNSYNCHRONIZED_BIT,
        at=now,
    )
