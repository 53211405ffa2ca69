"""Attempts, conditions on exit, and timeouts."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduler.queueing import (
    Again,
    BadRetryStrategy,
    Exit,
    GiveUp,
    RetryStrategy,
    check_retry_strategy,
    check_timeout,
    retry,
    timeout_at,
    timeout_due,
)

HOST_GONE = "Host EC2 (instance i-0a1b) terminated."
SPOT = check_retry_strategy(
    {
        "attempts": 5,
        "evaluateOnExit": [
            {"onStatusReason": "Host EC2*", "action": "RETRY"},
            {"onReason": "*", "action": "EXIT"},
        ],
    }
)


def test_without_a_strategy_there_is_one_attempt() -> None:
    assert check_retry_strategy(None) == RetryStrategy(attempts=1)
    assert isinstance(retry(1, RetryStrategy(), Exit(exit_code=1)), GiveUp)


def test_attempts_are_used_up_and_never_exceeded() -> None:
    three = check_retry_strategy({"attempts": 3})
    assert [retry(used, three, Exit(exit_code=1)) for used in (1, 2)] == [Again(attempt=2), Again(attempt=3)]
    assert isinstance(retry(3, three, Exit(exit_code=1)), GiveUp)


def test_the_first_condition_that_matches_decides() -> None:
    assert retry(1, SPOT, Exit(status_reason=HOST_GONE)) == Again(attempt=2)
    assert isinstance(retry(1, SPOT, Exit(status_reason="Essential container in task exited", exit_code=1)), GiveUp)


def test_without_a_match_the_job_is_retried() -> None:
    only = check_retry_strategy({"attempts": 2, "evaluateOnExit": [{"onExitCode": "40*", "action": "exit"}]})
    assert retry(1, only, Exit(exit_code=1)) == Again(attempt=2)
    assert isinstance(retry(1, only, Exit(exit_code=401)), GiveUp)


def test_every_pattern_of_a_condition_must_match() -> None:
    both = check_retry_strategy(
        {
            "attempts": 2,
            "evaluateOnExit": [{"onExitCode": "137", "onReason": "OutOfMemory*", "action": "EXIT"}],
        }
    )
    assert isinstance(retry(1, both, Exit(exit_code=137, reason="OutOfMemoryError: killed")), GiveUp)
    assert retry(1, both, Exit(exit_code=137, reason="killed")) == Again(attempt=2)
    assert retry(1, both, Exit(exit_code=1370, reason="OutOfMemoryError")) == Again(attempt=2)


def test_timeouts_and_terminations_are_final() -> None:
    ended = Exit(status_reason="Job attempt duration exceeded timeout", final=True)
    assert retry(1, RetryStrategy(attempts=10), ended) == GiveUp(because="Job attempt duration exceeded timeout")


@pytest.mark.parametrize(
    "strategy",
    [
        {"attempts": 0},
        {"attempts": 11},
        {"evaluateOnExit": [{"onExitCode": "1", "action": "EXIT"}]},
        {"attempts": 2, "evaluateOnExit": [{"onExitCode": "1", "action": "EXIT"}] * 6},
        {"attempts": 2, "evaluateOnExit": [{"onExitCode": "1", "action": "AGAIN"}]},
        {"attempts": 2, "evaluateOnExit": [{"onExitCode": "1x", "action": "EXIT"}]},
        {"attempts": 2, "evaluateOnExit": [{"onReason": "a*b", "action": "EXIT"}]},
        {"attempts": 2, "evaluateOnExit": [{"onReason": "a"}]},
    ],
)
def test_bad_strategies_are_refused(strategy) -> None:
    with pytest.raises(BadRetryStrategy):
        check_retry_strategy(strategy)


def test_a_timeout_is_counted_from_the_attempts_own_start() -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    timeout = check_timeout({"attemptDurationSeconds": 60})
    assert timeout_at(start, timeout) == start + timedelta(seconds=60)
    assert timeout_at(start, None) is None
    assert not timeout_due(start, timeout, start + timedelta(seconds=59))
    assert timeout_due(start, timeout, start + timedelta(seconds=60))
    assert not timeout_due(None, timeout, start + timedelta(days=1))
    assert not timeout_due(start, None, start + timedelta(days=1))


@pytest.mark.parametrize("seconds", [0, 59, -60, 10**18])
def test_impossible_timeouts_are_refused(seconds: int) -> None:
    with pytest.raises(BadRetryStrategy):
        check_timeout({"attemptDurationSeconds": seconds})
    assert check_timeout({}) is None
