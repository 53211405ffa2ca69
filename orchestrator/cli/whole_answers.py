"""Answers that leave whole: head and body in one call to the kernel and one packet, where ASGI makes two.

Berth's server offers it as ``berth.http.send_whole``, in place of ``send``, for answers that are known to their end.
"""

from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

SEND_WHOLE = "berth.http.send_whole"


async def send_whole(
    cycle: RequestResponseCycle, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> None:
    """Answer the request that ``cycle`` is about."""
    transport, gathered = cycle.transport, _Gathered()
    cycle.transport = gathered  # type: ignore[assignment]
    try:
        await cycle.send({"type": "http.response.start", "status": status, "headers": headers})
        await cycle.send({"type": "http.response.body", "body": body, "more_body": False})
    finally:
        cycle.transport = transport
    transport.write(b"".join(gathered.pieces))
    if gathered.is_closed:
        transport.close()


class _Gathered:
    """In the place of a transport: keeps what is written to it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def close(self) -> None:
        self.is_closed = True
