"""Pulls: one for all who want the same image with the same login, repeated while the registry is in trouble.

A pull runs on a thread of its own for as long as anybody waits for it: a task that is stopped meanwhile leaves, and
the others get their image all the same. Two names of one digest are two pulls, of which the engine fetches each layer
once. What may pass (a registry that is away or overloaded, a broken transfer) is tried again as the ECS agent does,
five times in all; what won't pass (no such manifest, denied) fails at once.
"""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import timedelta

from agent.log import facts
from agent.runtime import Cancelled, Hindered, Hindrance, RuntimeTrouble, Temporary
from kit.clock import Clock, backoff

# As of the ECS agent (dockerapi: maximumPullRetries, minimumPullRetryDelay, maximumPullRetryDelay).
ATTEMPTS = 5
FIRST_PAUSE = timedelta(milliseconds=1100)
LONGEST_PAUSE = timedelta(seconds=5)
# Where a copy on this host will do: enough for a registry that restarts, and little enough to be waited for.
ATTEMPTS_WITH_COPY = 3
# As of the ECS agent (dockerclient.PullImageTimeout): no further attempt begins after this.
PULL_TIMEOUT = timedelta(hours=2)
LOOK_AGAIN_S = 0.2

log = facts(__name__)


class CannotPull(Exception):
    """The image is not to be had; the text says why. ``passing`` tells that it may be had later."""

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


class _GivenUp(Exception):
    """Nobody waited for the pull any more."""


@dataclass(slots=True)
class _Pull:
    waiting: list[Cancelled] = field(default_factory=list)
    given_up: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    digest: str | None = None
    error: Exception | None = None

    def is_unwanted(self) -> bool:
        """Whether everybody who waits is to stop, or has left."""
        return self.given_up.is_set() or all(cancelled() for cancelled in tuple(self.waiting))


class Pulls:
    """Those under way. ``once`` of ``join`` is one attempt; it may raise CannotPull, Hindered and Temporary."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, _Pull] = {}

    def join(
        self,
        key: Hashable,
        image: str,
        once: Callable[[Cancelled], str | None],
        *,
        cancelled: Cancelled,
        has_copy: Callable[[], bool],
    ) -> str | None:
        """Pull, or wait for the pull that is under way; the answer is the digest. Raises CannotPull, Temporary."""
        while True:
            pull = self._take_part(key, image, once, cancelled, has_copy)
            while not pull.done.wait(LOOK_AGAIN_S):
                if cancelled():
                    self._leave(key, pull, cancelled)
                    raise CannotPull(f"{image}: the task was stopped")
            if not isinstance(pull.error, _GivenUp):
                break
            if cancelled():
                raise CannotPull(f"{image}: the task was stopped")
            # Joined at the moment when the last of the others left.
        if pull.error:
            raise pull.error
        return pull.digest

    def _take_part(
        self,
        key: Hashable,
        image: str,
        once: Callable[[Cancelled], str | None],
        cancelled: Cancelled,
        has_copy: Callable[[], bool],
    ) -> _Pull:
        with self._lock:
            pull = self._under_way.get(key)
            if pull is not None:
                pull.waiting.append(cancelled)
                return pull
            pull = _Pull(waiting=[cancelled])
            # Known only once it has begun: where no thread can be made, nobody is to wait for it.
            work = (key, pull, image, once, has_copy)
            threading.Thread(target=self._run, args=work, name="pull", daemon=True).start()
            self._under_way[key] = pull
            return pull

    def _leave(self, key: Hashable, pull: _Pull, cancelled: Cancelled) -> None:
        with self._lock:
            pull.waiting.remove(cancelled)
            if not pull.waiting and not pull.done.is_set():
                pull.given_up.set()
                if self._under_way.get(key) is pull:
                    del self._under_way[key]

    def _run(
        self,
        key: Hashable,
        pull: _Pull,
        image: str,
        once: Callable[[Cancelled], str | None],
        has_copy: Callable[[], bool],
    ) -> None:
        try:
            pull.digest = self._insist(pull, image, once, has_copy)
        except Exception as error:
            # Whatever it was is told to those who wait: a bug must not leave them waiting for ever.
            pull.error = error
        finally:
            with self._lock:
                if self._under_way.get(key) is pull:
                    del self._under_way[key]
                pull.done.set()

    def _insist(
        self, pull: _Pull, image: str, once: Callable[[Cancelled], str | None], has_copy: Callable[[], bool]
    ) -> str | None:
        give_up_at = self._clock.now() + PULL_TIMEOUT
        attempt = 0
        while True:
            attempt += 1
            try:
                return once(pull.is_unwanted)
            except Temporary:
                raise
            except (CannotPull, RuntimeTrouble) as error:
                if pull.is_unwanted():
                    raise _GivenUp from error
                if not isinstance(error, Hindered):
                    raise CannotPull(str(error)) from error
                pause = backoff(attempt, first=FIRST_PAUSE, most=LONGEST_PAUSE)
                most = _attempts(error, has_copy)
                if attempt >= most or self._clock.now() + pause >= give_up_at:
                    raise CannotPull(_told(attempt, error), passing=True) from error
                log.warning(
                    "image pull put off",
                    image=image,
                    attempt=attempt,
                    seconds=pause.total_seconds(),
                    because=str(error),
                )
            if self._clock.wait(pull.given_up, pause) or pull.is_unwanted():
                raise _GivenUp


def _attempts(error: Hindered, has_copy: Callable[[], bool]) -> int:
    """How often to try in all. Nobody is to wait for a network that isn't there where a copy will do."""
    if not has_copy():
        return ATTEMPTS
    return 1 if error.hindrance is Hindrance.ABSENT else ATTEMPTS_WITH_COPY


def _told(attempts: int, error: Exception) -> str:
    """In ECS's own words."""
    return f"image pull has been retried {attempts} time(s): {error}"
