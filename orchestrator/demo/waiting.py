"""Waiting for what a step expects to see, within bounds."""

import time
from collections.abc import Callable
from typing import TypeVar

from kit.clock import monotonic

T = TypeVar("T")


class StepFailed(Exception):
    """The tour did not see what it expected; the message says what that was."""


def until(what: str, look: Callable[[], T], *, seconds: float = 90.0, every: float = 0.1) -> T:
    """Look until there is something to see and answer it; raises StepFailed after ``seconds``."""
    deadline = monotonic() + seconds
    while not (seen := look()):
        if monotonic() > deadline:
            raise StepFailed(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(every)
    return seen


def expect(truth: bool, what: str) -> None:
    """Raise StepFailed unless what the tour claims is so."""
    if not truth:
        raise StepFailed(f"expected: {what}")
