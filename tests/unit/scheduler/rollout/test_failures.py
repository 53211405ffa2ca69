"""What counts as a failed start, how long starts pause after some, and when the breaker opens."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduler.rollout import CircuitBreaker, Failures, TaskSeen, count_failures, events, failed_start, pause, threshold

AT = datetime(2030, 1, 1, tzinfo=UTC)


def ended(**changes) -> TaskSeen:
    return TaskSeen(**{"id": "a", "deployment_id": "d", "created_at": AT, "last_status": "STOPPED", **changes})


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
    told = events.unable_to_place("web", "h1", "RESOURCE:MEMORY", "memory: 9 MiB asked, 8 free on h1 (1 host)")
    assert "has insufficient memory available. Why: memory: 9 MiB asked, 8 free on h1 (1 host). For more" in told
    assert 'encountered error "AGENT"' in events.unable_to_place("web", "h1", "AGENT")
    assert "No Container Instances were found" in events.unable_to_place("web", None, None)
    assert events.rollout_reason("d2", "COMPLETED") == "ECS deployment d2 completed."
    assert events.rollout_reason("d2", "FAILED", rollback_to="d1").endswith("deploymentId d1.")


def test_failures_are_counted_from_the_last_time_a_task_was_healthy() -> None:
    crash = [ended(id=f"c{second}", started_at=seconds(second), stopped_at=seconds(second + 1)) for second in (1, 50)]
    assert count_failures(crash, seconds(60)) == Failures(count=2, last_at=seconds(51))
    well = ended(id="w", last_status="RUNNING", started_at=AT)
    assert count_failures([*crash, well], seconds(30)).count == 2, "it is not healthy before it settled"
    assert count_failures([*crash, well], seconds(60)) == Failures(count=1, last_at=seconds(51))
    checked = ended(id="k", last_status="RUNNING", started_at=seconds(55), checked=True, healthy=True)
    assert count_failures([*crash, checked], seconds(60)) == Failures(count=0, last_at=None)
    unsure = ended(id="u", last_status="RUNNING", started_at=AT, checked=True)
    assert count_failures([*crash, unsure], seconds(60)).count == 2
    assert count_failures([], seconds(60)) == Failures(count=0, last_at=None)
