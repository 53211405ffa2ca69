"""Streams: a layer's bytes decompressed piece by piece, within limits, however much they claim to be."""

import zlib
from collections.abc import Callable
from typing import BinaryIO

from registry.scanning.limits import Limits, TooLarge, Unscannable, Unsupported

_PIECE = 256 * 1024
_GZIP = b"\x1f\x8b"
_OTHER_FORMS = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
}


class Budget:
    """What one image may still grow by. ``alive`` is called now and then: reading may take minutes."""

    def __init__(self, limits: Limits, alive: Callable[[], None] = lambda: None) -> None:
        self.limits = limits
        self.entries = limits.entries
        self._left = limits.decompressed
        self._alive = alive

    def spend(self, size: int) -> None:
        """Raises TooLarge."""
        self._alive()
        self._left -= size
        if self._left < 0:
            raise TooLarge(f"The image's layers hold more than {self.limits.decompressed} bytes when decompressed.")


class LayerStream:
    """One layer as the bytes of its tar archive, compressed with gzip or not at all.

    Reading raises Unsupported for other compressions, TooLarge, and Unscannable for bytes that are no gzip stream.
    """

    def __init__(self, blob: BinaryIO, budget: Budget) -> None:
        self._blob = blob
        self._budget = budget
        self._limits = budget.limits
        self._held = b""
        self._pending = b""
        self._taken = 0
        self._given = 0
        self._begun = False
        self._inflate: zlib._Decompress | None = None

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes, fewer only at the end."""
        pieces = []
        while size > 0:
            if not self._held:
                self._held = self._more()
                if not self._held:
                    break
            pieces.append(self._held[:size])
            self._held = self._held[size:]
            size -= len(pieces[-1])
        return b"".join(pieces)

    def skip(self, size: int) -> int:
        """Pass over ``size`` bytes; answers how many there were."""
        passed = 0
        while passed < size:
            if not self._held:
                self._held = self._more()
                if not self._held:
                    break
            step = min(size - passed, len(self._held))
            self._held = self._held[step:]
            passed += step
        return passed

    def _more(self) -> bytes:
        if not self._begun:
            self._begin()
            if self._held:
                return self._held
        piece = self._blob.read(_PIECE) if self._inflate is None else self._inflated()
        self._given += len(piece)
        self._budget.spend(len(piece))
        if self._given > self._limits.ratio_from and self._given > self._taken * self._limits.ratio > 0:
            raise TooLarge(f"A layer is compressed more than {self._limits.ratio} times, as no file system is.")
        return piece

    def _begin(self) -> None:
        self._begun = True
        start = self._blob.read(6)
        for magic, name in _OTHER_FORMS.items():
            if start.startswith(magic):
                raise Unsupported(f"A layer is compressed with {name}, which is not read here; gzip is.")
        if start.startswith(_GZIP):
            self._inflate = zlib.decompressobj(wbits=31)
            self._taken = len(start)
            self._pending = start
        else:
            self._held = start

    def _inflated(self) -> bytes:
        """The next bytes of the gzip stream, which may be of several members; none at the end."""
        while True:
            assert self._inflate is not None
            if self._inflate.eof:
                # Members may follow one another; zeros behind the last are padding.
                self._pending = self._inflate.unused_data.lstrip(b"\0") or self._past_padding()
                if not self._pending:
                    return b""
                self._inflate = zlib.decompressobj(wbits=31)
            elif not self._pending:
                self._pending = self._read()
                if not self._pending:
                    raise Unscannable("A layer's gzip stream ends too early.")
            try:
                piece = self._inflate.decompress(self._pending, _PIECE)
            except zlib.error as error:
                raise Unscannable(f"A layer's gzip stream is damaged: {error}.") from error
            self._pending = self._inflate.unconsumed_tail
            if piece:
                return piece

    def _past_padding(self) -> bytes:
        while piece := self._read():
            if piece := piece.lstrip(b"\0"):
                return piece
        return b""

    def _read(self) -> bytes:
        piece = self._blob.read(_PIECE)
        self._taken += len(piece)
        return piece
