"""Range headers: what they ask for, whatever they hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.http.ranges import MOST_RANGES, Part, Unsatisfiable, read_ranges


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("bytes=0-0", [(0, 0)]),
        ("bytes=500-", [(500, 999)]),
        ("bytes=-1", [(999, 999)]),
        ("bytes=-5000", [(0, 999)]),
        ("bytes=900-5000", [(900, 999)]),
        ("bytes=0-" + "9" * 5000, [(0, 999)]),
        ("bytes=-" + "0" * 5000 + "7", [(993, 999)]),
        ("Bytes = 0-1 , 4-5", [(0, 1), (4, 5)]),
        ("bytes=0-1,,4-5,", [(0, 1), (4, 5)]),
        # The order asked for stays, until parts overlap.
        ("bytes=8-9,0-1", [(8, 9), (0, 1)]),
        ("bytes=8-9,0-1,1-5", [(0, 5), (8, 9)]),
        ("bytes=0-9,2-3", [(0, 9)]),
        # What lies outside is left out of several.
        ("bytes=0-1,5000-", [(0, 1)]),
        ("bytes=-0,7-7", [(7, 7)]),
    ],
)
def test_the_parts_asked_for(header: str, parts: list[tuple[int, int]]) -> None:
    assert read_ranges(header, 1000) == [Part(first=first, last=last) for first, last in parts]


@pytest.mark.parametrize(
    "header", ["bytes=5-4", "bytes=-", "bytes=1000-", "bytes=-0", "bytes=0-1,5-4", "bytes=2000-,-0"]
)
def test_parts_that_cannot_be(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        read_ranges(header, 1000)


@pytest.mark.parametrize(
    "header",
    [
        *("", "lines=1-2", "bytes", "bytes=", "bytes=,", "bytes=a-b", "bytes=1", "bytes=1-2-3", "bytes=0x1-2"),
        *("bytes=²-", "bytes=" + ",".join(["0-0"] * (MOST_RANGES + 1))),
    ],
)
def test_what_is_to_be_ignored(header: str) -> None:
    assert read_ranges(header, 1000) == []


def test_of_nothing_there_is_no_part() -> None:
    for header in ("bytes=0-", "bytes=-1", "bytes=0-0"):
        with pytest.raises(Unsatisfiable):
            read_ranges(header, 0)


@given(
    ranges=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=MOST_RANGES),
    size=st.integers(1, 30),
)
def test_parts_are_exactly_the_bytes_asked_for_once_each(ranges: list[tuple[int, int]], size: int) -> None:
    asked = [(first, first + more) for first, more in ranges]
    header = "bytes=" + ",".join(f"{first}-{last}" for first, last in asked)
    wanted = {position for first, last in asked for position in range(first, last + 1) if position < size}
    if not wanted:
        with pytest.raises(Unsatisfiable):
            read_ranges(header, size)
        return
    parts = read_ranges(header, size)
    sent = [position for part in parts for position in range(part.first, part.last + 1)]
    assert sorted(sent) == sorted(wanted)
