"""Rounds: what many connections ask for at the same time, one thread does for all of them at once.

A thread for each would have them fight over the interpreter's lock and the store's one writer: when all agents of a
large cluster dial at once, that cost more than what they came for. Nobody is held back either: a round begins with
whatever is there, and what comes meanwhile makes the next one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import anyio.to_thread

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Rounds(Generic[Asked, Answer]):
    """``work`` is called on a thread, with at most ``most`` at a time and in the order in which they came. It answers
    for each, with an exception to raise for that one alone; or raises for all of them. For one event loop.

    ``newest_first`` is for askers that give up after a while: where they come faster than they can be seen to, each
    would be served just too late, and some are served in time so.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Asked]], Sequence[Answer | Exception]],
        *,
        most: int,
        newest_first: bool = False,
    ) -> None:
        self._work = work
        self._most = most
        self._newest_first = newest_first
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def submit(self, asked: Asked) -> Answer:
        """Have it done. It is done also when nobody waits for the answer any more."""
        told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, told))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await told

    async def _run(self) -> None:
        try:
            while self._waiting:
                take = self._waiting.pop if self._newest_first else self._waiting.popleft
                taken = [take() for _ in range(min(self._most, len(self._waiting)))]
                for told, answer in zip((told for _, told in taken), await self._round(taken), strict=True):
                    if told.done():
                        continue
                    if isinstance(answer, Exception):
                        told.set_exception(answer)
                    else:
                        told.set_result(answer)
        finally:
            self._running = None

    async def _round(self, taken: Sequence[tuple[Asked, asyncio.Future[Answer]]]) -> Sequence[Answer | Exception]:
        try:
            return await anyio.to_thread.run_sync(self._work, [asked for asked, _ in taken])
        except Exception as trouble:
            return [trouble] * len(taken)


def each(work: Callable[[Asked], Answer]) -> Callable[[Sequence[Asked]], Sequence[Answer | Exception]]:
    """Work of rounds that does one after the other, and goes on when one of them fails."""

    def outcome(asked: Asked) -> Answer | Exception:
        try:
            return work(asked)
        except Exception as trouble:
            return trouble

    return lambda asked: [outcome(one) for one in asked]
