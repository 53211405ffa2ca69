"""What counts as a failed start, how long starts pause after some, and when the breaker opens."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduler.rollout import CircuitBreaker, TaskSeen, events, failed_start, pause, threshold

AT = datetime(2030, 1, 1, tzinfo=UTC)


def ended(**changes) -> TaskSeen:
    return TaskSeen(id="a", deployment_id="d", created_at=AT, **{"last_status": "STOPPED", **changes})


def seconds(number: int) -> datetime:
    return AT + timedelta(seconds=number)


@pytest.mark.parametrize(
    ("task", "failed"),
    [
        (ended(), True),
        (ended(last_status="RUNNING"), False),
        (ended(desired_status="STOPPED"), False),
        (ended(started_at=AT, stopped_at=seconds(5)), True),
        (ended(started_at=AT, stopped_at=seconds(500)), False),
        (ended(started_at=AT, stopped_at=seconds(5), healthy=True, checked=True), False),
        (ended(started_at=AT, stopped_at=seconds(500), checked=True), True),
        (ended(started_at=AT, stopped_at=seconds(500), healthy=False, desired_status="STOPPED"), True),
    ],
)
def test_a_failed_start_is_an_end_before_the_task_was_ever_healthy(task: TaskSeen, failed: bool) -> None:
    assert failed_start(task) is failed


def test_pauses_double_from_the_second_failure_up_to_fifteen_minutes() -> None:
    assert [pause(count).total_seconds() for count in range(6)] == [0, 0, 1, 2, 4, 8]
    assert pause(12) == timedelta(minutes=15)
    assert pause(10_000) == timedelta(minutes=15)


@pytest.mark.parametrize(
    ("kind", "value", "desired", "expected"),
    [
        ("BOUNDED_PERCENT", 50, 1, 3),
        ("BOUNDED_PERCENT", 50, 25, 13),
        ("BOUNDED_PERCENT", 50, 800, 200),
        ("UNBOUNDED_PERCENT", 50, 1, 1),
        ("UNBOUNDED_PERCENT", 50, 800, 400),
        ("COUNT", 7, 800, 7),
    ],
)
def test_the_threshold_follows_its_type(kind: str, value: int, desired: int, expected: int) -> None:
    assert threshold(CircuitBreaker(enable=True, threshold_type=kind, threshold=value), desired) == expected


def test_events_read_as_those_of_ecs() -> None:
    assert events.started("web", ["ab", "cd"]) == "(service web) has started 2 tasks: (task ab) (task cd)."
    assert "(container-instance h1) has insufficient memory available." in events.unable_to_place(
        "web", "h1", "RESOURCE:MEMORY"
    )
    assert 'encountered error "AGENT"' in events.unable_to_place("web", "h1", "AGENT")
    assert "No Container Instances were found" in events.unable_to_place("web", None, None)
    assert events.rollout_reason("d2", "COMPLETED") == "ECS deployment d2 completed."
    assert events.rollout_reason("d2", "FAILED", rollback_to="d1").endswith("deploymentId d1.")
