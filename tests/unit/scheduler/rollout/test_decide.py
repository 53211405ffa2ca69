"""Single rollout decisions, each as a user of the service would see it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.rollout import CircuitBreaker, DeploymentSeen, ServiceSeen, TaskSeen, decide, events

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
JUST_NOW = NOW - timedelta(seconds=3)

D1 = DeploymentSeen(id="d1", status="PRIMARY", created_at=LONG_AGO, rollout_state="COMPLETED")
D2 = DeploymentSeen(id="d2", status="PRIMARY", created_at=NOW)
OLD = replace(D1, status="ACTIVE")


def task(name: str, deployment: str = "d1", **changes) -> TaskSeen:
    running = TaskSeen(
        id=name, deployment_id=deployment, last_status="RUNNING", created_at=LONG_AGO, started_at=LONG_AGO
    )
    return replace(running, **changes)


def service(*tasks: TaskSeen, **changes) -> ServiceSeen:
    return replace(ServiceSeen(name="web", desired=2, deployments=(D1,), tasks=tasks), **changes)


def stopped(plan) -> list[str]:
    return sorted(stop.id for stop in plan.stop)


def starts(plan) -> int:
    return sum(start.count for start in plan.start)


def test_a_new_service_starts_its_desired_tasks() -> None:
    plan = decide(service(deployments=(D2,)), NOW)
    assert [(start.deployment_id, start.count) for start in plan.start] == [("d2", 2)]
    assert not plan.stop and not plan.steady and not plan.events


def test_a_service_at_rest_says_steady_once() -> None:
    seen = service(task("a"), task("b"))
    plan = decide(seen, NOW)
    assert plan.steady and plan.events == ("(service web) has reached a steady state.",)
    again = decide(replace(seen, last_event=plan.events[-1]), NOW)
    assert again.steady and not again.events


def test_a_first_deployment_completes_when_its_tasks_have_settled() -> None:
    seen = service(task("a", "d2", started_at=JUST_NOW), task("b", "d2", started_at=JUST_NOW), deployments=(D2,))
    early = decide(seen, NOW)
    assert not early.completed and early.retry_at == JUST_NOW + timedelta(seconds=40)
    late = decide(seen, early.retry_at)
    assert late.completed == ("d2",)
    assert late.events == (
        "(service web) (deployment d2) deployment completed.",
        "(service web) has reached a steady state.",
    )


def test_a_passing_health_check_counts_at_once_and_a_missing_result_never() -> None:
    passing = task("a", "d2", started_at=JUST_NOW, healthy=True, checked=True)
    unknown = task("b", "d2", checked=True)
    assert decide(service(passing, deployments=(D2,), desired=1), NOW).completed == ("d2",)
    waiting = decide(service(unknown, deployments=(D2,), desired=1), NOW)
    assert not waiting.completed and not waiting.stuck


def test_a_lost_task_is_replaced() -> None:
    plan = decide(service(task("a"), task("b", last_status="STOPPED", desired_status="STOPPED")), NOW)
    assert starts(plan) == 1 and not plan.stop


def test_a_rollout_starts_new_tasks_first_and_stops_old_ones_for_healthy_successors() -> None:
    seen = service(task("a"), task("b"), deployments=(D2, OLD))
    first = decide(seen, NOW)
    assert starts(first) == 2 and not first.stop
    one_up = replace(seen, tasks=(*seen.tasks, task("c", "d2"), task("d", "d2", last_status="PENDING")))
    second = decide(one_up, NOW)
    assert len(second.stop) == 1 and not second.start
    assert second.stop[0].reason == "Scaling activity initiated by (deployment d2)"
    assert second.events == (f"(service web) has stopped 1 running tasks: (task {second.stop[0].id}).",)


def test_without_room_above_old_tasks_go_first_down_to_the_minimum() -> None:
    tasks = [task(name) for name in "abcd"]
    plan = decide(
        service(*tasks, desired=4, minimum_healthy_percent=50, maximum_percent=100, deployments=(D2, OLD)),
        NOW,
    )
    assert not plan.start and len(plan.stop) == 2


def test_what_is_already_leaving_counts_as_room_to_come() -> None:
    leaving = [task(name, desired_status="STOPPED") for name in "ab"]
    staying = [task(name) for name in "cd"]
    seen = service(
        *leaving,
        *staying,
        desired=4,
        minimum_healthy_percent=0,
        maximum_percent=150,
        deployments=(D2, OLD),
    )
    plan = decide(seen, NOW)
    assert starts(plan) == 2 and not plan.stop, "two more start when a and b are gone"


def test_a_full_cluster_makes_room_for_refused_tasks_as_far_as_the_minimum_allows() -> None:
    new = [task(name, "d2", last_status="PENDING", unplaceable=True) for name in "yz"]
    old = [task(name) for name in "ab"]
    tight = service(*old, *new, deployments=(D2, OLD))
    assert not decide(tight, NOW).stop
    assert len(decide(replace(tight, minimum_healthy_percent=50), NOW).stop) == 1


def test_old_tasks_that_never_ran_are_stopped_at_once() -> None:
    old = [task(name, last_status="PENDING") for name in "ab"]
    new = [task(name, "d2", last_status="PENDING") for name in "yz"]
    assert stopped(decide(service(*old, *new, deployments=(D2, OLD)), NOW)) == ["a", "b"]


@pytest.mark.parametrize(("minimum", "maximum"), [(100, 100), (100, 150), (51, 199)])
def test_percentages_that_allow_no_move_say_so_once(minimum: int, maximum: int) -> None:
    seen = service(
        task("a"),
        desired=1,
        minimum_healthy_percent=minimum,
        maximum_percent=maximum,
        deployments=(D2, OLD),
    )
    plan = decide(seen, NOW)
    assert plan.stuck and not plan.start and not plan.stop
    assert plan.events == (events.unable_to_move("web"),)
    assert decide(replace(seen, last_event=plan.events[-1]), NOW).events == ()


def test_scale_down_stops_the_newest_unready_first_and_then_from_the_fullest_host() -> None:
    tasks = [
        task("a", host="h1"),
        task("b", host="h1"),
        task("c", host="h1"),
        task("d", host="h2"),
        task("e", host="h3", last_status="PENDING", created_at=JUST_NOW),
    ]
    assert stopped(decide(service(*tasks, desired=4), NOW)) == ["e"]
    plan = decide(service(*tasks, desired=2), NOW)
    stayed = {one.host for one in tasks if one.id not in stopped(plan)}
    assert len(plan.stop) == 3 and stayed == {"h1", "h2"}


def test_scale_down_leaves_the_rest_spread() -> None:
    tasks = [task("a", host="h1"), task("b", host="h1"), task("c", host="h2"), task("d", host="h2")]
    plan = decide(service(*tasks), NOW)
    assert len(plan.stop) == 2
    assert {one.host for one in tasks if one.id not in stopped(plan)} == {"h1", "h2"}


def test_scale_down_takes_the_newest_of_the_fullest_host() -> None:
    tasks = [
        task("old", host="h1"),
        task("new", host="h1", created_at=LONG_AGO + timedelta(minutes=1)),
        task("other", host="h2", created_at=LONG_AGO + timedelta(minutes=2)),
    ]
    assert stopped(decide(service(*tasks), NOW)) == ["new"]


def test_a_sick_task_is_replaced_before_it_is_stopped() -> None:
    sick = task("a", healthy=False, checked=True)
    well = task("b", healthy=True, checked=True)
    first = decide(service(sick, well), NOW)
    assert starts(first) == 1 and not first.stop
    second = decide(service(sick, well, task("c", healthy=True, checked=True)), NOW)
    assert [(one.id, one.reason) for one in second.stop] == [("a", "Task failed container health checks")]
    assert second.events[0] == "(service web) (task a) failed container health checks."


def test_a_sick_task_goes_first_when_there_is_no_room_for_its_successor() -> None:
    sick = task("a", healthy=False, checked=True)
    plan = decide(service(sick, task("b"), maximum_percent=100), NOW)
    assert stopped(plan) == ["a"] and not plan.start


def test_a_failing_check_is_forgiven_within_the_grace_period() -> None:
    seen = service(
        task("a", healthy=False, checked=True, started_at=JUST_NOW),
        desired=1,
        health_check_grace=timedelta(seconds=30),
    )
    plan = decide(seen, NOW)
    assert not plan.start and plan.retry_at == JUST_NOW + timedelta(seconds=30)
    assert starts(decide(seen, plan.retry_at)) == 1


def test_tasks_on_a_draining_host_get_successors_before_they_stop() -> None:
    draining = [task("a", draining=True), task("b", draining=True)]
    assert starts(decide(service(*draining), NOW)) == 2
    plan = decide(service(*draining, task("c")), NOW)
    assert len(plan.stop) == 1
    pending = task("d", draining=True, last_status="PENDING")
    assert stopped(decide(service(task("a"), pending), NOW)) == ["d"]


def test_a_daemon_starts_on_each_eligible_host_and_leaves_the_others() -> None:
    seen = service(
        task("a", host="h1"),
        task("gone", host="h9"),
        scheduling_strategy="DAEMON",
        eligible_hosts=("h1", "h2", "h3"),
        minimum_healthy_percent=0,
        maximum_percent=100,
    )
    plan = decide(seen, NOW)
    assert plan.start[0].hosts == ("h2",), "the one on h9 still counts towards maximumPercent"
    assert stopped(plan) == ["gone"]


def test_a_daemon_with_two_tasks_on_one_host_keeps_the_older() -> None:
    twin = task("z", host="h1", created_at=JUST_NOW)
    seen = service(task("a", host="h1"), twin, scheduling_strategy="DAEMON", eligible_hosts=("h1",))
    assert stopped(decide(seen, NOW)) == ["z"]


def test_a_daemon_makes_room_only_where_no_successor_is_on_its_way() -> None:
    seen = service(
        task("old1", host="h1"),
        task("new1", "d2", host="h1", last_status="PENDING"),
        task("old2", host="h2"),
        deployments=(D2, OLD),
        scheduling_strategy="DAEMON",
        eligible_hosts=("h1", "h2"),
        minimum_healthy_percent=0,
        maximum_percent=150,
    )
    plan = decide(seen, NOW)
    assert stopped(plan) == ["old2"] and not plan.start


def test_a_daemon_makes_room_for_a_refused_successor_on_its_own_host() -> None:
    hosts = ("h1", "h2", "h3")
    old = [task(f"old{number}", host=host) for number, host in enumerate(hosts, start=1)]
    refused = task("new", "d2", host="h2", last_status="PENDING", unplaceable=True)
    seen = service(
        *old,
        refused,
        deployments=(D2, OLD),
        scheduling_strategy="DAEMON",
        eligible_hosts=hosts,
        minimum_healthy_percent=60,
    )
    assert stopped(decide(seen, NOW)) == ["old2"]


def test_repeated_failures_pause_the_starts() -> None:
    failing = replace(D2, failed_tasks=4, last_failure_at=NOW)
    seen = service(deployments=(failing,))
    plan = decide(seen, NOW)
    assert not plan.start and plan.retry_at == NOW + timedelta(seconds=4)
    assert plan.events == (events.unable_to_start("web"),)
    assert starts(decide(seen, plan.retry_at)) == 2


def test_a_pause_does_not_stop_the_old_tasks() -> None:
    failing = replace(D2, failed_tasks=9, last_failure_at=NOW)
    old = [task(name) for name in "ab"]
    seen = service(*old, deployments=(failing, OLD), minimum_healthy_percent=0, maximum_percent=100)
    assert not decide(seen, NOW).stop


def test_the_circuit_breaker_rolls_back_to_the_last_completed_deployment() -> None:
    failing = replace(D2, failed_tasks=3, last_failure_at=NOW)
    seen = service(
        task("a"),
        deployments=(failing, OLD),
        circuit_breaker=CircuitBreaker(enable=True, rollback=True),
    )
    plan = decide(seen, NOW)
    assert plan.failed == ("d2",) and plan.rollback_to == "d1" and not plan.start and not plan.stop
    assert plan.events == (
        "(service web) (deployment d2) deployment failed: tasks failed to start.",
        "(service web) rolling back to deployment d1.",
    )
    only_enabled = replace(seen, circuit_breaker=CircuitBreaker(enable=True))
    assert decide(only_enabled, NOW).rollback_to is None
    assert decide(replace(seen, circuit_breaker=CircuitBreaker(rollback=True)), NOW).failed == ()


def test_a_deployment_to_fall_back_on_stays_until_its_successor_completed() -> None:
    seen = service(
        task("a", "d2", started_at=JUST_NOW),
        desired=1,
        deployments=(D2, OLD),
        circuit_breaker=CircuitBreaker(enable=True, rollback=True),
    )
    assert decide(seen, NOW).superseded == ()
    later = decide(seen, NOW + timedelta(minutes=1))
    assert later.completed == ("d2",) and later.superseded == ("d1",)


def test_a_failed_deployment_starts_nothing_but_follows_a_lower_desired_count() -> None:
    given_up = replace(D2, rollout_state="FAILED")
    seen = service(task("a"), task("b"), deployments=(given_up, OLD), desired=4)
    assert decide(seen, NOW).start == ()
    assert len(decide(replace(seen, desired=0), NOW).stop) == 2


def test_a_superseded_deployment_vanishes_with_its_last_task() -> None:
    new = [task(name, "d2") for name in "yz"]
    ending = task("a", desired_status="STOPPED")
    held = decide(service(ending, *new, deployments=(D2, OLD)), NOW)
    assert held.superseded == () and not held.steady
    gone = replace(ending, last_status="STOPPED")
    assert decide(service(gone, *new, deployments=(D2, OLD)), NOW).superseded == ("d1",)


def test_a_deleted_service_stops_all_and_is_drained_with_the_last() -> None:
    plan = decide(service(task("a"), task("b", desired_status="STOPPED"), status="DRAINING"), NOW)
    assert stopped(plan) == ["a"] and not plan.drained
    assert decide(service(status="DRAINING"), NOW).drained


def test_an_active_service_without_a_primary_deployment_is_a_fault() -> None:
    with pytest.raises(ValueError, match="web"):
        decide(service(deployments=(OLD,)), NOW)
