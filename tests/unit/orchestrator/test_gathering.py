"""Gathering: what waits while somebody is at work is done together, and everybody is told of their own."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from orchestrator.agents.gathering import Gathering

Take = Callable[[], Sequence[int]]


class Works:
    """Doubles numbers; the first round waits until it is let go, so that others gather behind it."""

    def __init__(self) -> None:
        self.rounds: list[list[int]] = []
        self.begun = threading.Event()
        self.go = threading.Event()
        self.trouble: BaseException | None = None

    def __call__(self, take: Take) -> Sequence[int]:
        if not self.begun.is_set():
            asked = take()
            self.begun.set()
            assert self.go.wait(20)
        else:
            asked = take()
            if self.trouble is not None:
                raise self.trouble
        self.rounds.append(list(asked))
        return [number * 2 for number in asked]


def gathered(works: Works, most: int, asked: Sequence[Sequence[int]]) -> list[Future[Sequence[int]]]:
    """Ask for the first, then for all others while it is under way."""
    gathering = Gathering[int, int](works, most=most)
    with ThreadPoolExecutor(len(asked)) as pool:
        futures = [pool.submit(gathering.submit, asked[0])]
        assert works.begun.wait(20)
        for numbers in asked[1:]:
            futures.append(pool.submit(gathering.submit, numbers))
            while len(gathering._waiting) < len(futures) - 1:
                works.go.wait(0.001)
        works.go.set()
    return futures


def test_what_waits_is_done_together_and_everybody_gets_their_own() -> None:
    works = Works()
    futures = gathered(works, 100, [[1], [2, 3], [4], [5]])
    assert [list(future.result()) for future in futures] == [[2], [4, 6], [8], [10]]
    assert works.rounds == [[1], [2, 3, 4, 5]]


def test_a_round_is_bounded_and_nobody_is_torn_apart() -> None:
    works = Works()
    futures = gathered(works, 3, [[1], [2, 3], [4, 5], [6, 7, 8, 9], [10]])
    assert [len(future.result()) for future in futures] == [1, 2, 2, 4, 1]
    assert works.rounds == [[1], [2, 3], [4, 5], [6, 7, 8, 9], [10]]


def test_trouble_is_told_to_all_of_the_round_and_to_nobody_after_it() -> None:
    works = Works()
    works.trouble = ValueError("no")
    gathering = Gathering[int, int](works, most=100)
    works.begun.set()
    with pytest.raises(ValueError, match="no"):
        gathering.submit([1])
    works.trouble = None
    assert list(gathering.submit([2])) == [4]


def test_trouble_of_a_round_reaches_those_who_gathered() -> None:
    works = Works()
    works.trouble = ValueError("no")
    futures = gathered(works, 100, [[1], [2], [3]])
    assert list(futures[0].result()) == [2]
    assert [type(future.exception()) for future in futures[1:]] == [ValueError, ValueError]


def test_work_that_fails_before_it_has_taken_anything_fails_for_whoever_waits() -> None:
    def work(take: Take) -> Sequence[int]:
        raise ValueError("not even begun")

    with pytest.raises(ValueError, match="begun"):
        Gathering[int, int](work, most=10).submit([1])


def test_work_that_is_repeated_takes_what_has_come_meanwhile() -> None:
    seen: list[list[int]] = []
    waiting: list[Future[Sequence[int]]] = []

    def work(take: Take) -> Sequence[int]:
        seen.append(list(take()))
        waiting.append(pool.submit(gathering.submit, [2]))
        while not gathering._waiting:
            threading.Event().wait(0.001)
        seen.append(list(take()))
        return seen[-1]

    gathering = Gathering[int, int](work, most=10)
    with ThreadPoolExecutor(1) as pool:
        assert list(gathering.submit([1])) == [1]
        assert list(waiting[0].result()) == [2]
    assert seen == [[1], [1, 2]]


def test_a_leader_that_is_ended_leaves_nobody_waiting() -> None:
    class Ended(BaseException):
        pass

    def work(take: Take) -> Sequence[int]:
        take()
        raise Ended

    gathering = Gathering[int, int](work, most=10)
    for _ in range(2):
        with pytest.raises(Ended):
            gathering.submit([1])


def test_whoever_asks_again_out_of_the_work_it_leads_has_a_round_of_its_own():
    answers = []

    def works(take: Take) -> Sequence[int]:
        if not answers:
            answers.append(None)
            answers[0] = gathering.submit([7])
        return [number * 2 for number in take()]

    gathering = Gathering[int, int](works, most=10)
    assert gathering.submit([1]) == [2]
    assert answers == [[14]]
    assert gathering.submit([3]) == [6]
