"""Downloads: what is asked for after a break, and which answers are not believed."""

from datetime import timedelta
from typing import Any

import pytest

from registry.cache import downloads
from registry.cache.downloads import ATTEMPTS, Download
from registry.upstream import Misbehaved, NotThere, Unreachable, UpstreamError
from tests.unit.registry.test_upstream import Upstream, running

DATA = bytes(range(200))
Reply = tuple[int, dict[str, str], bytes]


def whole(data: bytes = DATA, *, broken_after: int | None = None) -> Reply:
    return 200, {"Content-Length": str(len(data)), "Connection": "close"}, data[:broken_after]


def part(first: int, *, size: object = len(DATA), broken_after: int | None = None, said: str | None = None) -> Reply:
    data = DATA[first:]
    said = said or f"bytes {first}-{len(DATA) - 1}/{size}"
    headers = {"Content-Range": said, "Content-Length": str(len(data)), "Connection": "close"}
    return 206, headers, data[:broken_after]


def download(*replies: Reply) -> tuple[bytes, int | None, list[str | None]]:
    """What arrives of these answers, the size that was told, and the ranges that were asked for."""
    left, asked = list(replies), []

    def answer(upstream: Upstream, request: Any) -> Reply:
        asked.append(request.headers.get("Range"))
        return left.pop(0)

    with running(answer) as upstream:
        connection = upstream.connect()
        try:
            flow = Download(connection, "/v2/a/blobs/x", scope="repository:a:pull")
            return b"".join(flow.pieces()), flow.size, asked
        finally:
            connection.close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_FIRST_PAUSE", timedelta(0))


def test_what_does_not_break_is_asked_for_once() -> None:
    assert download(whole()) == (DATA, len(DATA), [None])
    assert download(whole(b"")) == (b"", 0, [None])


@pytest.mark.parametrize("size", [len(DATA), "*"])
def test_the_rest_is_asked_for(size: object) -> None:
    found = download(whole(broken_after=50), part(50, size=size, broken_after=30), part(80, size=size))
    assert found == (DATA, len(DATA), [None, "bytes=50-", "bytes=80-"])


def test_what_is_known_of_a_whole_answer_is_left_out() -> None:
    found = download(whole(broken_after=50), whole(broken_after=20), whole(broken_after=120), whole())
    assert found == (DATA, len(DATA), [None, "bytes=50-", "bytes=50-", "bytes=120-"])


def test_an_upstream_that_is_away_for_a_moment_is_asked_again() -> None:
    gone = (503, {"Connection": "close"}, b"")
    assert download(whole(broken_after=50), gone, part(50)) == (DATA, len(DATA), [None, "bytes=50-", "bytes=50-"])


@pytest.mark.parametrize(
    ("first", "error"),
    [((503, {}, b""), Unreachable), ((404, {}, b""), NotThere), (whole(broken_after=0), Unreachable)],
)
def test_what_has_not_begun_fails_at_once(first: Reply, error: type[UpstreamError]) -> None:
    with pytest.raises(error):
        download(first)


@pytest.mark.parametrize(
    "second",
    [
        part(49),
        part(51),
        part(50, size=300),
        part(50, said="bytes */200"),
        part(50, said="50-199/200"),
        whole(DATA + b"more"),
        (404, {}, b""),
        (416, {}, b""),
    ],
)
def test_another_blob_than_before_is_not_believed(second: Reply) -> None:
    with pytest.raises((Misbehaved, NotThere)):
        download(whole(broken_after=50), second)


def test_breaks_in_a_row_are_bounded_but_for_those_that_brought_much(monkeypatch: pytest.MonkeyPatch) -> None:
    breaks = [whole(broken_after=10), *(part(10 * each, broken_after=10) for each in range(1, 19))]
    with pytest.raises(Unreachable):
        download(*breaks[:ATTEMPTS])
    monkeypatch.setattr(downloads, "_PROGRESS", 10)
    assert download(*breaks, part(190))[0] == DATA
