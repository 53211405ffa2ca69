"""Retries: whether a failed attempt is tried again, and when an attempt has run too long.

Source: Batch user guide, "Automated job retries" and "Job timeouts".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

MOST_ATTEMPTS = 10
MOST_CONDITIONS = 5
SHORTEST_TIMEOUT = timedelta(seconds=60)
TIMED_OUT = "Job attempt duration exceeded timeout"


class BadRetryStrategy(ValueError):
    """A retry strategy or timeout that Batch refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One entry of ``evaluateOnExit``: every pattern given must match. A ``*`` at the end matches any rest."""

    action: str
    on_status_reason: str | None = None
    on_reason: str | None = None
    on_exit_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryStrategy:
    """How many attempts a job has, and on which exits they are used."""

    attempts: int = 1
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How an attempt ended, in the words that DescribeJobs shows. ``final`` is set for timeouts and TerminateJob:
    those are never retried."""

    status_reason: str | None = None
    reason: str | None = None
    exit_code: int | None = None
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Back to RUNNABLE for the attempt of this number (counted from 1)."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The job has FAILED, because of this."""

    because: str


def check_retry_strategy(strategy: Mapping[str, Any] | None) -> RetryStrategy:
    """Read Batch's ``retryStrategy``. Raises BadRetryStrategy."""
    given = strategy or {}
    conditions = given.get("evaluateOnExit") or ()
    attempts = given.get("attempts")
    if attempts is not None and not 1 <= attempts <= MOST_ATTEMPTS:
        raise BadRetryStrategy(f"attempts must be between 1 and {MOST_ATTEMPTS}, not {attempts}.")
    if conditions and attempts is None:
        raise BadRetryStrategy("evaluateOnExit needs attempts to be given.")
    if len(conditions) > MOST_CONDITIONS:
        raise BadRetryStrategy(f"evaluateOnExit has at most {MOST_CONDITIONS} conditions, not {len(conditions)}.")
    return RetryStrategy(attempts=attempts or 1, conditions=tuple(map(_read_condition, conditions)))


def check_timeout(timeout: Mapping[str, Any] | None) -> timedelta | None:
    """Read Batch's ``timeout``: at least 60 seconds, None when not given. Raises BadRetryStrategy."""
    seconds = (timeout or {}).get("attemptDurationSeconds")
    if seconds is None:
        return None
    if seconds < SHORTEST_TIMEOUT.total_seconds():
        raise BadRetryStrategy(f"attemptDurationSeconds must be at least 60, not {seconds}.")
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise BadRetryStrategy(f"attemptDurationSeconds is too large: {seconds}.") from None


def retry(attempts: int, strategy: RetryStrategy, ended: Exit) -> Again | GiveUp:
    """What follows a failed attempt, the ``attempts``-th. The first condition that matches decides; when none
    does the job is retried. Attempts are never exceeded."""
    if ended.final:
        return GiveUp(because=ended.status_reason or ended.reason or "The job was terminated")
    if attempts >= strategy.attempts:
        return GiveUp(because=f"all {strategy.attempts} attempts are used")
    for condition in strategy.conditions:
        if _matches(condition, ended):
            if condition.action == "EXIT":
                return GiveUp(because="evaluateOnExit says EXIT")
            break
    return Again(attempt=attempts + 1)


def timeout_at(started_at: datetime, timeout: timedelta | None) -> datetime | None:
    """When an attempt that started then has run too long; None without a timeout."""
    return None if timeout is None else started_at + timeout


def timeout_due(started_at: datetime | None, timeout: timedelta | None, now: datetime) -> bool:
    """Has the attempt run too long? Counted from the attempt's own start, so waiting costs nothing."""
    return started_at is not None and timeout is not None and started_at + timeout <= now


def _read_condition(condition: Mapping[str, Any]) -> Condition:
    action = str(condition.get("action") or "").upper()
    if action not in ("RETRY", "EXIT"):
        raise BadRetryStrategy(f"The action of evaluateOnExit is RETRY or EXIT, not {condition.get('action')!r}.")
    read = Condition(
        action=action,
        on_status_reason=condition.get("onStatusReason"),
        on_reason=condition.get("onReason"),
        on_exit_code=condition.get("onExitCode"),
    )
    for pattern in (read.on_status_reason, read.on_reason, read.on_exit_code):
        if pattern is not None and "*" in pattern[:-1]:
            raise BadRetryStrategy(f"A pattern of evaluateOnExit has * only at its end: {pattern!r}.")
    digits = (read.on_exit_code or "0").removesuffix("*")
    if digits and not (digits.isascii() and digits.isdigit()):
        raise BadRetryStrategy(f"onExitCode holds digits, and * at its end: {read.on_exit_code!r}.")
    return read


def _matches(condition: Condition, ended: Exit) -> bool:
    exit_code = None if ended.exit_code is None else str(ended.exit_code)
    pairs: Sequence[tuple[str | None, str | None]] = (
        (condition.on_status_reason, ended.status_reason),
        (condition.on_reason, ended.reason),
        (condition.on_exit_code, exit_code),
    )
    return all(_glob(pattern, text or "") for pattern, text in pairs if pattern is not None)


def _glob(pattern: str, text: str) -> bool:
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text == pattern
