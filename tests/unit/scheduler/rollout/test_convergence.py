"""Rollouts over time: every service settles, and no promise is broken on the way."""

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.rollout import CircuitBreaker, DeploymentSeen, ServiceSeen
from tests.unit.scheduler.rollout.simulation import START, World

ROUNDS = 400


def service(**changes) -> ServiceSeen:
    first = DeploymentSeen(id="d1", status="PRIMARY", created_at=START)
    return replace(ServiceSeen(name="web", desired=2, deployments=(first,), tasks=()), **changes)


def movable(minimum: int, maximum: int, desired: int) -> bool:
    """Do these percentages leave room to replace a healthy task at all?"""
    return -(-desired * minimum // 100) < desired or desired * maximum // 100 > desired


def settle(world: World, rounds: int = ROUNDS) -> None:
    """Run until the service is steady twice in a row and has one deployment."""
    for _ in range(rounds):
        plan = world.round()
        if plan.steady and not plan.superseded and len(world.service.deployments) == 1:
            return
    raise AssertionError(f"never steady: {world.service}")


percent = st.integers(0, 100)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    desired=st.integers(0, 9),
    minimum=percent,
    maximum=st.integers(100, 200),
    next_desired=st.integers(0, 9),
    trouble=st.sampled_from([0.0, 0.02, 0.08]),
)
def test_a_replica_service_always_reaches_its_new_deployment(
    seed, desired, minimum, maximum, next_desired, trouble
) -> None:
    world = World(service(desired=desired, minimum_healthy_percent=minimum, maximum_percent=maximum), Random(seed))
    settle(world)
    world.deploy("d2")
    world.trouble = trouble
    for _ in range(12):
        world.round()
    world.trouble = 0.0
    world.service = replace(world.service, desired=next_desired)
    if not movable(minimum, maximum, next_desired):
        for _ in range(ROUNDS):
            world.round()
        return
    settle(world)
    tasks = world.service.tasks
    assert len(tasks) == next_desired
    assert all(task.deployment_id == "d2" and task.last_status == "RUNNING" for task in tasks)
    assert world.primary().rollout_state == "COMPLETED"


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    minimum=st.integers(0, 99),
    maximum=st.sampled_from([100, 200]),
    hosts=st.integers(1, 6),
    fewer=st.integers(0, 6),
)
def test_a_daemon_ends_with_one_task_on_each_eligible_host(seed, minimum, maximum, hosts, fewer) -> None:
    names = tuple(f"h{number}" for number in range(hosts))
    world = World(
        service(
            scheduling_strategy="DAEMON",
            eligible_hosts=names,
            minimum_healthy_percent=minimum,
            maximum_percent=maximum,
        ),
        Random(seed),
    )
    settle(world)
    left = names[: max(1, hosts - fewer)]
    if movable(minimum, maximum, len(left)):
        world.deploy("d2")
    world.service = replace(world.service, eligible_hosts=left)
    settle(world)
    assert sorted(task.host for task in world.service.tasks) == list(left)
    assert {task.deployment_id for task in world.service.tasks} == {world.primary().id}


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), desired=st.integers(1, 8), minimum=percent)
def test_a_deployment_that_never_starts_is_rolled_back_and_the_service_recovers(seed, desired, minimum) -> None:
    breaker = CircuitBreaker(enable=True, rollback=True)
    world = World(service(desired=desired, minimum_healthy_percent=minimum, circuit_breaker=breaker), Random(seed))
    settle(world)
    world.deploy("d2")
    world.bad = {"d2"}
    settle(world, rounds=2_000)
    assert [one.id for one in world.service.deployments] == ["d1"]
    assert len(world.service.tasks) == desired
    assert {task.deployment_id for task in world.service.tasks} == {"d1"}


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), desired=st.integers(0, 6))
def test_a_deleted_service_ends_without_tasks_and_inactive(seed, desired) -> None:
    world = World(service(desired=desired), Random(seed))
    for _ in range(5):
        world.round()
    world.service = replace(world.service, status="DRAINING", desired=0)
    for _ in range(60):
        if world.service.status == "INACTIVE":
            break
        world.round()
    assert world.service.status == "INACTIVE"
    assert not world.service.tasks


def test_a_deployment_that_never_starts_pauses_longer_and_longer() -> None:
    world = World(service(desired=1), Random(1), bad={"d1"})
    for _ in range(700):
        world.round()
    seconds = 700 * 5
    assert world.primary().failed_tasks >= 8
    assert len(world.started) < seconds / 60, "an hour of failures is a few dozen starts, not hundreds"
