"""Gathering: what many threads ask for at the same time is done for all of them at once.

Whoever finds nobody at it leads: it takes everything that waits, does it, and tells the others how theirs went. No
timer holds anybody back: what gathers is what arrives while the leader before was at work.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class _Place(Generic[Asked, Answer]):
    """What one caller asks for, and once that is known, how it went."""

    __slots__ = ("answers", "asked", "trouble")

    def __init__(self, asked: Sequence[Asked]) -> None:
        self.asked = asked
        self.answers: Sequence[Answer] | None = None
        self.trouble: BaseException | None = None

    @property
    def settled(self) -> bool:
        return self.answers is not None or self.trouble is not None


class Gathering(Generic[Asked, Answer]):
    """``work`` is called by one thread at a time, with ``take``: calling that closes the round and hands over what is
    asked for, in order, so it is best called late. Work must answer for each, or raise for all of them.

    ``most`` bounds a round; what one caller asks for is never torn apart. A thread that asks again out of the work it
    leads waits for nobody: that is a round of its own.
    """

    def __init__(self, work: Callable[[Callable[[], Sequence[Asked]]], Sequence[Answer]], *, most: int) -> None:
        self._work = work
        self._most = most
        self._waiting: list[_Place[Asked, Answer]] = []
        self._leader: int | None = None
        self._changed = threading.Condition()

    def submit(self, asked: Sequence[Asked]) -> Sequence[Answer]:
        """Have it done, together with what others ask for; the answers to one's own, or what the round raised."""
        place: _Place[Asked, Answer] = _Place(asked)
        own_thread = threading.get_ident()
        with self._changed:
            self._waiting.append(place)
            while self._leader not in (None, own_thread) and not place.settled:
                self._changed.wait()
            leads, before = not place.settled, self._leader
            if leads:
                self._leader = own_thread
        if leads:
            self._lead(place, before)
        if place.trouble is not None:
            raise place.trouble
        assert place.answers is not None, "whoever does not lead waits until it is told"
        return place.answers

    def _lead(self, own: _Place[Asked, Answer], before: int | None) -> None:
        """Work until one's own place, which may be far behind, is settled; then let who led before lead on."""
        try:
            while not own.settled:
                self._work_once()
        finally:
            with self._changed:
                self._leader = before
                self._changed.notify_all()

    def _work_once(self) -> None:
        taken: list[_Place[Asked, Answer]] = []

        def take() -> Sequence[Asked]:
            # Work that is repeated takes again: what has come meanwhile joins what was taken before.
            with self._changed:
                size = sum(len(place.asked) for place in taken)
                while self._waiting and (not taken or size + len(self._waiting[0].asked) <= self._most):
                    taken.append(self._waiting.pop(0))
                    size += len(taken[-1].asked)
            return [one for place in taken for one in place.asked]

        try:
            answers = self._work(take)
            self._settle(taken, answers)
        except Exception as trouble:
            take()
            self._fail(taken, trouble)
        except BaseException:
            # This thread is ended; nobody else need be.
            self._fail(taken, RuntimeError("whoever did this for all was ended"))
            raise

    def _settle(self, taken: Sequence[_Place[Asked, Answer]], answers: Sequence[Answer]) -> None:
        with self._changed:
            start = 0
            for place in taken:
                place.answers = answers[start : start + len(place.asked)]
                start += len(place.asked)
            self._changed.notify_all()

    def _fail(self, taken: Sequence[_Place[Asked, Answer]], trouble: Exception) -> None:
        with self._changed:
            for place in taken:
                place.trouble = trouble
            self._changed.notify_all()
