"""Invocations: one call of a schedule's target, what follows when it fails, and the letter kept when it is given up.

Source: EventBridge Scheduler user guide, "Context attributes" and "Configuring a dead-letter queue".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from kit.aws.errors import AwsError
from kit.clock import backoff
from state.firings import Firing
from state.store import Session

FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(minutes=10)
# AWS's defaults of RetryPolicy.
MOST_RETRIES = 185
OLDEST = timedelta(seconds=86400)
_THROTTLED = ("ThrottlingException", "TooManyRequestsException")


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One attempt to call a target. ``token`` is the same for every attempt of one firing."""

    token: str
    schedule_arn: str
    scheduled_at: datetime
    attempt: int
    target: Mapping[str, Any]

    @property
    def input(self) -> str | None:
        """The target's input with the context attributes filled in."""
        text: str | None = self.target.get("Input")
        if text is None:
            return None
        attributes = {
            "schedule-arn": self.schedule_arn,
            "scheduled-time": _stamp(self.scheduled_at),
            "execution-id": self.token,
            "attempt-number": str(self.attempt),
        }
        for name, value in attributes.items():
            text = text.replace(f"<aws.scheduler.{name}>", value)
        return text


# Calls the target inside the given transaction, so that the call and its record are one; raises AwsError.
Invoke = Callable[[Session, Invocation], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Try again at this instant."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Try no more; ``exhausted`` names the limit of the retry policy that was reached, if it was one."""

    exhausted: str | None


def invocation_of(firing: Firing) -> Invocation:
    """The next attempt of a firing."""
    return Invocation(
        token=firing.id,
        schedule_arn=firing.schedule_arn,
        scheduled_at=firing.due_at,
        attempt=firing.attempts + 1,
        target=firing.target,
    )


def oldest_event(target: Mapping[str, Any]) -> timedelta:
    """How long after its due instant a target may still be invoked."""
    seconds = (target.get("RetryPolicy") or {}).get("MaximumEventAgeInSeconds")
    return OLDEST if seconds is None else timedelta(seconds=seconds)


def after_failure(firing: Firing, error: AwsError, now: datetime) -> Retry | GiveUp:
    """What follows an attempt that failed at ``now`` and is counted already."""
    if error.status < 500 and error.code not in _THROTTLED:
        # The request itself is wrong: it would fail the same way each time.
        return GiveUp(exhausted=None)
    retries = (firing.target.get("RetryPolicy") or {}).get("MaximumRetryAttempts", MOST_RETRIES)
    if firing.attempts > retries:
        return GiveUp(exhausted="MaximumRetryAttempts")
    at = now + backoff(firing.attempts, first=FIRST_PAUSE, most=LONGEST_PAUSE)
    if at > firing.due_at + oldest_event(firing.target):
        return GiveUp(exhausted="MaximumEventAgeInSeconds")
    return Retry(at=at)


def letter_attributes(firing: Firing, exhausted: str | None) -> dict[str, str]:
    """The attributes AWS gives the message in a dead-letter queue."""
    attributes = {
        "ERROR_CODE": firing.error_code or "",
        "ERROR_MESSAGE": firing.error_message or "",
        "EXECUTION_ID": firing.id,
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": str(max(firing.attempts - 1, 0)),
        "SCHEDULE_ARN": firing.schedule_arn,
        "SCHEDULED_TIME": _stamp(firing.due_at),
        "TARGET_ARN": str(firing.target.get("Arn", "")),
    }
    if exhausted is not None:
        attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
    return attributes


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
