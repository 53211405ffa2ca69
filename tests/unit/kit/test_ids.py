"""Ids ascend, whatever the clock does and however many threads ask, and are UUIDs of version 7."""

import uuid
from concurrent.futures import ThreadPoolExecutor

from kit.ids import Ids, new_id, new_ids


def test_ids_are_uuids_of_version_7_that_begin_with_the_time() -> None:
    found = Ids(now=lambda: 1_700_000_000_123_456_789).take(1)[0]
    assert uuid.UUID(found).version == 7
    assert uuid.UUID(found).variant == uuid.RFC_4122
    assert int(found[:12], 16) == 1_700_000_000_123


def test_ids_ascend_while_the_clock_goes_back() -> None:
    instants = iter((5_000_000, 5_000_000, 4_000_000, 0, 6_000_000))
    ids = Ids(now=lambda: next(instants))
    found = [one for count in (3, 10_000, 1, 1, 2) for one in ids.take(count)]
    assert found == sorted(set(found))


def test_ids_of_many_threads_are_all_different_and_each_thread_sees_its_own_ascend() -> None:
    with ThreadPoolExecutor(8) as pool:
        lots = list(pool.map(lambda _: [new_id(), *new_ids(500), new_id()], range(40)))
    assert all(lot == sorted(lot) for lot in lots)
    assert len({one for lot in lots for one in lot}) == 40 * 502


def test_two_processes_in_the_same_instant_give_different_ids() -> None:
    ours, theirs = (set(Ids(now=lambda: 1_000_000).take(1000)) for _ in range(2))
    assert not ours & theirs


def test_no_ids_are_no_ids() -> None:
    assert list(new_ids(0)) == []
