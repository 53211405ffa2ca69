"""Spools in files: whatever way a piece takes to the disk, every byte arrives once and in order."""

import errno
import fcntl
import os
import random
from collections.abc import Iterator, Sequence
from mmap import mmap
from pathlib import Path
from typing import Any

import pytest

from registry.storage import Busy, NoRoom
from registry.storage.file_spool import BLOCK, LARGE, FileSpool

NOISE = random.Random(7).randbytes(3 * LARGE + BLOCK)


def by_pages(data: bytes) -> memoryview:
    """The bytes where a page begins, as buffers of bodies do."""
    held = memoryview(mmap(-1, max(1, len(data))))[: len(data)]
    held[:] = data
    return held


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(path: Path) -> Iterator[FileSpool]:
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    yield FileSpool(handle)
    os.close(handle)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, int]]:
    """Of every write, whether it was to go past the page cache, and its length; this disk takes both ways."""
    seen: list[tuple[bool, int]] = []
    write, control = os.write, fcntl.fcntl
    wanted: dict[int, int] = {}

    def noted(handle: int, data: memoryview) -> int:
        seen.append((bool(wanted.get(handle, 0) & os.O_DIRECT), len(data)))
        return write(handle, data)

    def switched(handle: int, command: int, flags: int = 0) -> int:
        if command == fcntl.F_SETFL:
            wanted[handle] = flags
            flags &= ~os.O_DIRECT
        return control(handle, command, flags)

    monkeypatch.setattr(os, "write", noted)
    monkeypatch.setattr(fcntl, "fcntl", switched)
    return seen


@pytest.mark.parametrize(
    "lengths",
    [
        [3 * LARGE],
        [LARGE, LARGE, 1],
        [LARGE + 1, LARGE - 1, LARGE],
        [1, LARGE, BLOCK - 1, LARGE, LARGE],
        [LARGE - 1, 1, LARGE],
        [0, 3 * LARGE + BLOCK - 1, 1],
    ],
)
@pytest.mark.parametrize("placed", [by_pages, bytes, lambda data: by_pages(b"x" + data)[1:]])
def test_every_byte_arrives_wherever_it_lies(path: Path, spool: FileSpool, lengths: Sequence[int], placed: Any) -> None:
    at = 0
    for length in lengths:
        spool.write(placed(NOISE[at : at + length]))
        at += length
        assert spool.offset == path.stat().st_size == at
    assert path.read_bytes() == NOISE[:at]


def test_large_pieces_go_past_the_page_cache_up_to_their_last_block(
    spool: FileSpool, ways: list[tuple[bool, int]]
) -> None:
    spool.write(by_pages(NOISE[:LARGE]))
    spool.write(by_pages(NOISE[: LARGE + BLOCK + 5]))
    spool.write(by_pages(NOISE[:LARGE]))
    assert ways == [(True, LARGE), (True, LARGE + BLOCK), (False, 5), (False, LARGE)]


def test_a_small_piece_goes_by_the_page_cache(spool: FileSpool, ways: list[tuple[bool, int]]) -> None:
    spool.write(by_pages(NOISE[:BLOCK]))
    spool.write(by_pages(NOISE[:LARGE]))
    assert ways == [(False, BLOCK), (True, LARGE)]


@pytest.mark.parametrize("refused_at", ["fcntl", "write"])
def test_a_file_system_that_knows_no_other_way_is_asked_once(
    path: Path, spool: FileSpool, monkeypatch: pytest.MonkeyPatch, refused_at: str
) -> None:
    asked = []
    write, control = os.write, fcntl.fcntl
    direct = False

    def refuse() -> None:
        asked.append(refused_at)
        raise OSError(errno.EINVAL, "Invalid argument")

    def switched(handle: int, command: int, flags: int) -> int:
        nonlocal direct
        if flags & os.O_DIRECT and refused_at == "fcntl":
            refuse()
        direct = bool(flags & os.O_DIRECT)
        return control(handle, command, flags & ~os.O_DIRECT)

    def written(handle: int, data: memoryview) -> int:
        if direct:
            refuse()
        return write(handle, data)

    monkeypatch.setattr(fcntl, "fcntl", switched)
    monkeypatch.setattr(os, "write", written)
    for at in (0, LARGE):
        spool.write(by_pages(NOISE[at : at + LARGE]))
    assert path.read_bytes() == NOISE[: 2 * LARGE]
    assert asked == [refused_at]


def test_a_disk_that_is_full_says_so_and_keeps_what_came(
    path: Path, spool: FileSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [LARGE]
    write = os.write

    def limited(handle: int, data: memoryview) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(handle, data[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(os, "write", limited)
    with pytest.raises(NoRoom):
        spool.write(by_pages(NOISE[: 2 * LARGE]))
    assert spool.offset == LARGE
    left[0] = LARGE
    spool.write(by_pages(NOISE[LARGE : 2 * LARGE]))
    assert path.read_bytes() == NOISE[: 2 * LARGE]


def test_nothing_is_added_to_a_file_that_is_a_blob_already(path: Path, spool: FileSpool) -> None:
    spool.write(b"data")
    os.link(path, path.with_name("blob"))
    handle = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        with pytest.raises(Busy):
            FileSpool(handle).write(b"more")
    finally:
        os.close(handle)
    assert path.read_bytes() == b"data"
