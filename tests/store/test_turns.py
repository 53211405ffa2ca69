"""Turns: who asked first writes first, and nobody who gives up is waited for."""

import threading
from concurrent.futures import ThreadPoolExecutor

from state.turns import Turns


def waiting(turns: Turns) -> int:
    return len(turns._queue)


def queue_up(pool: ThreadPoolExecutor, turns: Turns, order: list[int], number: int) -> None:
    def take() -> None:
        with turns:
            order.append(number)

    before = waiting(turns)
    pool.submit(take)
    while waiting(turns) == before:
        threading.Event().wait(0.001)


def test_turns_go_to_whoever_asked_first_and_not_to_who_has_just_let_go():
    turns, order = Turns(), []
    with ThreadPoolExecutor(5) as pool:
        with turns:
            for number in range(5):
                queue_up(pool, turns, order, number)
        with turns:
            order.append(99)
    assert order == [0, 1, 2, 3, 4, 99]


def test_a_turn_is_passed_on_when_its_holder_fails():
    turns = Turns()
    try:
        with turns:
            raise ValueError
    except ValueError:
        pass
    with turns:
        assert waiting(turns) == 0


def test_who_is_interrupted_while_it_waits_holds_nobody_up():
    turns = Turns()
    mine = threading.Lock()
    with turns:
        turns._queue.append(mine)
        turns._leave(mine)
    with turns:
        assert waiting(turns) == 0
