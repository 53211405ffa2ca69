"""Protected tasks: neither a deployment nor a smaller desired count ends one, unless it is sick or its service goes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from scheduler.rollout import DeploymentSeen, RolloutPlan, ServiceSeen, TaskSeen, decide

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
NEW = DeploymentSeen(id="new", status="PRIMARY", created_at=LONG_AGO)
OLD = DeploymentSeen(id="old", status="ACTIVE", created_at=LONG_AGO, rollout_state="COMPLETED")
DONE = replace(NEW, rollout_state="COMPLETED")


def task(name: str, deployment: str = "new", **changes: Any) -> TaskSeen:
    running = TaskSeen(
        id=name, deployment_id=deployment, last_status="RUNNING", created_at=LONG_AGO, started_at=LONG_AGO
    )
    return replace(running, **changes)


def service(*tasks: TaskSeen, **changes: Any) -> ServiceSeen:
    return replace(ServiceSeen(name="web", desired=1, deployments=(DONE,), tasks=tasks), **changes)


def stopped(plan: RolloutPlan) -> set[str]:
    return {stop.id for stop in plan.stop}


def test_scaling_in_takes_the_others_first() -> None:
    tasks = [task("a", protected=True), task("b"), task("c", protected=True)]
    assert stopped(decide(service(*tasks), NOW)) == {"b"}


def test_scaling_in_waits_for_tasks_that_are_all_protected() -> None:
    tasks = [task("a", protected=True), task("b", protected=True)]
    plan = decide(service(*tasks), NOW)
    assert not plan.stop and not plan.stuck and not plan.steady
    assert not any("unable" in message for message in plan.events)
    free = [replace(one, protected=False) for one in tasks]
    assert len(stopped(decide(service(*free), NOW))) == 1


def test_a_deployment_replaces_what_it_may_and_waits_for_the_rest() -> None:
    tasks = [task("a", "old", protected=True), task("b", "old"), task("c"), task("d")]
    seen = service(*tasks, desired=2, deployments=(NEW, OLD))
    assert stopped(decide(seen, NOW)) == {"b"}
    left = service(tasks[0], *tasks[2:], desired=2, deployments=(NEW, OLD))
    waiting = decide(left, NOW)
    assert not waiting.stop and not waiting.completed and not waiting.superseded and not waiting.stuck
    free = service(replace(tasks[0], protected=False), *tasks[2:], desired=2, deployments=(NEW, OLD))
    assert stopped(decide(free, NOW)) == {"a"}


def test_a_host_that_is_drained_waits_for_its_protected_tasks() -> None:
    tasks = [task("a", draining=True, protected=True), task("b")]
    assert not decide(service(*tasks), NOW).stop


def test_a_sick_task_goes_protected_or_not() -> None:
    sick = task("a", healthy=False, checked=True, protected=True)
    well = task("b", healthy=True, checked=True)
    assert stopped(decide(service(sick, well), NOW)) == {"a"}


def test_a_service_that_is_deleted_takes_its_protected_tasks_along() -> None:
    assert stopped(decide(service(task("a", protected=True), status="DRAINING", desired=0), NOW)) == {"a"}
