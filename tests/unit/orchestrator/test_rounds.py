"""Rounds: what gathers while one round is done makes the next one; each asker hears of its own alone."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from orchestrator.agents.rounds import Rounds, each


@pytest.mark.parametrize(("newest_first", "order"), [(False, [[1, 2, 3], [4, 5]]), (True, [[5, 4, 3], [2, 1]])])
def test_what_comes_during_a_round_makes_the_next_ones(newest_first: bool, order: list[list[int]]) -> None:
    seen: list[list[int]] = []
    let_go = threading.Event()

    def work(asked: Sequence[int]) -> Sequence[int]:
        seen.append([*asked])
        assert let_go.wait(10)
        return [one * 10 for one in asked]

    async def ask() -> list[int]:
        rounds = Rounds(work, most=3, newest_first=newest_first)
        first = asyncio.create_task(rounds.submit(0))
        while not seen:
            await asyncio.sleep(0)
        rest = [asyncio.create_task(rounds.submit(number)) for number in range(1, 6)]
        await asyncio.sleep(0)
        let_go.set()
        return await asyncio.gather(first, *rest)

    assert asyncio.run(ask()) == [0, 10, 20, 30, 40, 50]
    assert seen == [[0], *order]


def test_one_that_fails_fails_alone() -> None:
    async def ask() -> list[float | BaseException]:
        rounds = Rounds(each(lambda number: 1 / number), most=10)
        return await asyncio.gather(*(rounds.submit(number) for number in (1, 0, 2)), return_exceptions=True)

    first, failed, last = asyncio.run(ask())
    assert (first, last) == (1, 0.5)
    assert isinstance(failed, ZeroDivisionError)


def test_a_round_that_fails_fails_all_of_it_and_the_next_is_done() -> None:
    def work(asked: Sequence[str]) -> Sequence[str]:
        if "bad" in asked:
            raise ValueError("bad")
        return asked

    async def ask() -> list[str | BaseException]:
        rounds = Rounds(work, most=2)
        return await asyncio.gather(*map(rounds.submit, ("good", "bad", "better")), return_exceptions=True)

    *failed, last = asyncio.run(ask())
    assert [type(one) for one in failed] == [ValueError, ValueError]
    assert last == "better"


def test_what_nobody_waits_for_any_more_is_done_all_the_same() -> None:
    done: list[str] = []

    async def ask() -> None:
        rounds = Rounds(each(done.append), most=10)
        leaving = asyncio.create_task(rounds.submit("left"))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await rounds.submit("stays")

    asyncio.run(ask())
    assert done == ["left", "stays"]
