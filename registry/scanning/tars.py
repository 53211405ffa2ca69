"""Tar archives as streams of entries. A reader of its own, since what a header may claim must be bounded.

ustar, pax and GNU long names are read; sizes in octal and in base 256. What an entry points to is told and never
followed. Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from collections.abc import Iterator
from dataclasses import dataclass

from registry.scanning.limits import TooLarge, Unscannable
from registry.scanning.streams import Budget, LayerStream

_BLOCK = 512
FILE, LINK, DIRECTORY, OTHER = "file", "link", "directory", "other"
# Sparse files and what is no file: nothing in them is read.
_KINDS = {b"0": FILE, b"\0": FILE, b"7": FILE, b"1": LINK, b"5": DIRECTORY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry: its path without leading ``./`` or ``/``, and where a hard link points to."""

    path: str
    kind: str
    size: int
    target: str


class Archive:
    """The entries of one archive, in order. ``read`` gives bytes of the entry that came last."""

    def __init__(self, stream: LayerStream, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget
        self._limits = budget.limits
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        """Raises Unscannable for what is no archive, TooLarge for too much of it."""
        said: dict[str, str] = {}
        everywhere: dict[str, str] = {}
        while True:
            self._finish()
            block = self._stream.read(_BLOCK)
            # An archive ends with zeros, or with its stream.
            if not block or (len(block) == _BLOCK and not block.strip(b"\0")):
                return
            self._check(block)
            kind, size = block[156:157], _number(block[124:136])
            if kind in b"xgLK" and kind != b"":
                body = self._header(size)
                if kind == b"x":
                    said |= _pax(body)
                elif kind == b"g":
                    everywhere |= _pax(body)
                else:
                    said["path" if kind == b"L" else "linkpath"] = _text(body)
                continue
            self._budget.entries -= 1
            if self._budget.entries < 0:
                raise TooLarge(f"The image's layers hold more than {self._limits.entries} entries.")
            entry = self._entry(block, kind, size, everywhere | said)
            said = {}
            yield entry

    def read(self, most: int) -> bytes:
        """At most ``most`` bytes more of the entry."""
        piece = self._stream.read(min(most, self._left))
        if len(piece) < min(most, self._left):
            raise _cut()
        self._left -= len(piece)
        return piece

    def _entry(self, block: bytes, kind: bytes, size: int, said: dict[str, str]) -> Entry:
        name = _text(block[:100])
        if block[257:263] == b"ustar\0" and block[345:500].strip(b"\0"):
            name = f"{_text(block[345:500])}/{name}"
        if "size" in said:
            if not (said["size"].isascii() and said["size"].isdigit() and len(said["size"]) < 20):
                raise Unscannable("A layer is no tar archive: a size in it is no number.")
            size = int(said["size"])
        if kind == b"S":
            self._skip_sparse_map(block)
        found = _KINDS.get(kind, OTHER)
        if any(key.startswith("GNU.sparse.") for key in said):
            found = OTHER
        # Links, directories and devices have no bytes, whatever their size says; unknown kinds are as files.
        self._expect(0 if kind in b"123456" and kind != b"" else size)
        return Entry(
            path=clean_path(said.get("path", name), self._limits.path),
            kind=found,
            size=self._left,
            target=clean_path(said.get("linkpath", _text(block[157:257])), self._limits.path),
        )

    def _header(self, size: int) -> bytes:
        if size > self._limits.header:
            raise TooLarge(f"A layer has a header of {size} bytes.")
        self._expect(size)
        body = self.read(size)
        self._finish()
        return body

    def _skip_sparse_map(self, block: bytes) -> None:
        more = block[482:483]
        while more not in (b"\0", b""):
            block = self._stream.read(_BLOCK)
            if len(block) < _BLOCK:
                raise _cut()
            more = block[504:505]

    def _expect(self, size: int) -> None:
        self._left = size
        self._padding = -size % _BLOCK

    def _finish(self) -> None:
        if self._left and self._stream.skip(self._left) < self._left:
            raise _cut()
        # The last entry's padding is missing in some archives.
        self._stream.skip(self._padding)
        self._left = self._padding = 0

    def _check(self, block: bytes) -> None:
        if len(block) < _BLOCK:
            raise _cut()
        told = _number(block[148:156])
        rest = block[:148] + b" " * 8 + block[156:]
        if told not in (sum(rest), sum(byte - 256 if byte > 127 else byte for byte in rest)):
            raise Unscannable("A layer is no tar archive: the checksum of a header is wrong.")


def clean_path(path: str, longest: int) -> str:
    """The path relative to the root, without empty parts and dots; empty for the root and for what leads out of it."""
    if len(path) > longest:
        raise TooLarge(f"A layer has a path of more than {longest} characters.")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "" if ".." in parts else "/".join(parts)


def _number(field: bytes) -> int:
    """A number in octal digits, or in base 256 where its first bit is set."""
    if field[:1] >= b"\x80":
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        # A set second bit is a negative number.
        if field[0] & 0x40 or value >= 2**62:
            raise Unscannable("A layer is no tar archive: a size in it is out of range.")
        return value
    digits = field.strip(b" \0")
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise Unscannable("A layer is no tar archive: a number in a header is none.") from None


def _pax(body: bytes) -> dict[str, str]:
    """Records of the form ``LENGTH KEY=VALUE\\n``."""
    said: dict[str, str] = {}
    start = 0
    while start < len(body):
        head, space, _ = body[start : start + 21].partition(b" ")
        if not (space and head.isdigit()):
            raise Unscannable("A layer is no tar archive: a pax header is malformed.")
        end = start + int(head)
        record = body[start + len(head) + 1 : end]
        if end > len(body) or not record.endswith(b"\n") or b"=" not in record:
            raise Unscannable("A layer is no tar archive: a pax header is malformed.")
        key, _, value = record[:-1].partition(b"=")
        said[_text(key)] = _text(value)
        start = end
    return said


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _cut() -> Unscannable:
    return Unscannable("A layer's tar archive ends too early.")
