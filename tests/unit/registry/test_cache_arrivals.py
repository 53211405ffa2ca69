"""Arrivals: how far a blob can be read while it comes."""

import pytest

from registry.cache.arrivals import Arrival
from registry.upstream import Unreachable


def test_what_comes_is_told_to_all_who_wait() -> None:
    arrival = Arrival("upload", 100)
    one, other = arrival.beyond(0), arrival.beyond(0)
    assert not one.done()
    arrival.advance(40)
    assert (one.result(), other.result(), arrival.beyond(10).result()) == (40, 40, 40)
    assert not arrival.beyond(40).done()


def test_the_last_byte_is_told_once_the_blob_is_kept() -> None:
    arrival = Arrival("upload", 100)
    arrival.advance(100)
    arrival.advance(100)
    assert arrival.beyond(0).result() == 99
    last = arrival.beyond(99)
    assert not last.done()
    assert not arrival.kept.done()
    arrival.end()
    assert last.result() == arrival.beyond(0).result() == 100
    assert arrival.kept.done()


def test_why_it_ended_is_told_after_what_there_was() -> None:
    arrival = Arrival("upload", 100)
    arrival.advance(40)
    waiting = arrival.beyond(40)
    arrival.end(Unreachable("gone"))
    assert arrival.beyond(0).result() == 40
    for ended in (waiting, arrival.beyond(40), arrival.kept):
        with pytest.raises(Unreachable, match="gone"):
            ended.result()
