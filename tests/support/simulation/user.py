"""The user: calls the API, repeats what got no answer, and remembers what was acknowledged."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any, Protocol

from agent.control.aws import Unreachable
from agent.runtime.simulated import Program
from kit.clock import Clock
from tests.support.simulation.ledger import Ledger
from tests.support.simulation.requests import Refused

# What containers do, by their image.
PROGRAMS = {
    "forever": Program(),
    "soon": Program(lasts=timedelta(seconds=4)),
    "later": Program(lasts=timedelta(seconds=45)),
    "failing": Program(lasts=timedelta(seconds=2), exit_code=3),
    "broken": Program(start_error="exec: no such file"),
    "stubborn": Program(lasts=timedelta(seconds=90), heeds_term=False),
}
ENDLESS = ("forever", "stubborn")
ATTEMPTS = 8


class Calls(Protocol):
    """How the user reaches the control plane: answers, or raises Refused or Unreachable."""

    def __call__(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]: ...


class User:
    """One person. ``wish`` does one thing; what got no answer, however often repeated, is left in doubt."""

    def __init__(self, call: Calls, chance: Random, ledger: Ledger, clock: Clock, note: Callable[[str], None]) -> None:
        self._call_once = call
        self._clock = clock
        self._tokens = 0
        self.chance = chance
        self.ledger = ledger
        self.note = note

    def wish(self, wish: Callable[["User"], None]) -> None:
        """Try for one wish."""
        try:
            wish(self)
        except Refused as refused:
            self.note(f"user: {wish.__name__} was refused: {refused}")
        except Unreachable:
            self.note(f"user: {wish.__name__} got no answer")

    def call(self, service: str, operation: str, /, **params: Any) -> dict[str, Any]:
        """Call until there is an answer, as a client library would. Raises Refused, Unreachable."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._call_once(service, operation, params)
            except Unreachable:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("the last attempt answers or raises")

    def now(self) -> datetime:
        return self._clock.now()

    def token(self) -> str:
        """A client token nobody has used yet."""
        self._tokens += 1
        return f"wish-{self._tokens}"
