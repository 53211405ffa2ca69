"""Several parts of a blob in one answer: ``multipart/byteranges``. Source: RFC 9110, section 14.6."""

from collections.abc import Iterator, Mapping, Sequence
from secrets import token_hex
from typing import BinaryIO

from starlette.responses import StreamingResponse

from registry.http.ranges import Part
from registry.storage import CHUNK


def parts_response(file: BinaryIO, parts: Sequence[Part], size: int, headers: Mapping[str, str]) -> StreamingResponse:
    """The parts of an open file of ``size`` bytes, each with where it belongs; closes the file."""
    boundary = token_hex(12)
    kind = headers["Content-Type"]
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: bytes {part.first}-{part.last}/{size}\r\n\r\n"
        for part in parts
    ]
    end = f"\r\n--{boundary}--\r\n"
    length = sum(map(len, heads)) + sum(part.length for part in parts) + len(end)
    return StreamingResponse(
        _pieces(file, list(zip(heads, parts, strict=True)), end),
        status_code=206,
        headers={
            **headers,
            "Content-Type": f"multipart/byteranges; boundary={boundary}",
            "Content-Length": str(length),
        },
    )


def _pieces(file: BinaryIO, parts: Sequence[tuple[str, Part]], end: str) -> Iterator[bytes]:
    with file:
        for head, part in parts:
            yield head.encode()
            file.seek(part.first)
            left = part.length
            while left:
                piece = file.read(min(CHUNK, left))
                if not piece:
                    # The file is shorter than its row says: end the connection, so that nobody takes it for whole.
                    raise OSError("a blob's bytes ended early")
                left -= len(piece)
                yield piece
        yield end.encode()
