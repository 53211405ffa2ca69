"""Tasks that are alike may be decided upon as one with a count: the plan is the same as for each by name."""

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.rollout import DeploymentSeen, ServiceSeen, TaskSeen, chooses, count_tasks, decide
from tests.unit.scheduler.rollout.simulation import START, World

NOW = START + timedelta(hours=1)
D1 = DeploymentSeen(id="d1", status="PRIMARY", created_at=START)


def crowded(service: ServiceSeen) -> ServiceSeen:
    """The service with tasks that differ in nothing but name, birth and host seen as one."""
    alike: dict[TaskSeen, int] = defaultdict(int)
    for task in service.tasks:
        alike[replace(task, id="", created_at=START, host=None, named=False)] += task.count
    tasks = (replace(task, id=f"crowd {number}", count=n) for number, (task, n) in enumerate(alike.items()))
    return replace(service, tasks=tuple(tasks))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    desired=st.integers(0, 12),
    minimum=st.integers(0, 100),
    maximum=st.integers(100, 200),
    trouble=st.sampled_from([0.0, 0.05]),
)
def test_where_nothing_is_to_be_chosen_a_crowd_is_decided_upon_as_its_tasks(
    seed: int, desired: int, minimum: int, maximum: int, trouble: float
) -> None:
    first = replace(D1, rollout_state="IN_PROGRESS")
    service = ServiceSeen(
        name="web",
        desired=desired,
        deployments=(first,),
        tasks=(),
        minimum_healthy_percent=minimum,
        maximum_percent=maximum,
    )
    chance = Random(seed)
    world = World(service, chance, trouble=trouble)
    for turn in range(40):
        if turn == 20:
            world.service = replace(world.service, desired=chance.randrange(13))
        if turn == 30:
            world.deploy("d2")
        plan = decide(world.service, world.now)
        if not chooses(world.service):
            assert plan.stop == ()
            assert decide(crowded(world.service), world.now) == plan
        assert chooses(crowded(world.service)) == chooses(world.service)
        world.round()


def test_a_crowd_counts_for_as_many_as_it_is_and_none_of_it_is_stopped() -> None:
    crowd = TaskSeen(
        id="all",
        deployment_id="d1",
        last_status="RUNNING",
        created_at=START,
        started_at=START,
        count=2_000_000,
        named=False,
    )
    seen = ServiceSeen(name="web", desired=2_000_000, deployments=(D1,), tasks=(crowd,))
    at_rest = decide(seen, NOW)
    assert at_rest.steady and at_rest.completed == ("d1",)
    more = decide(replace(seen, desired=2_000_010), NOW)
    assert [start.count for start in more.start] == [10]
    fewer = replace(seen, desired=1_999_000)
    assert decide(fewer, NOW).stop == () and chooses(fewer)
    named = replace(crowd, id="one", count=1, named=True)
    assert [stop.id for stop in decide(replace(fewer, tasks=(crowd, named)), NOW).stop] == ["one"]


def test_crowds_of_both_deployments_keep_to_the_percentages() -> None:
    usual = TaskSeen(id="", deployment_id="d1", last_status="RUNNING", created_at=START, started_at=START)
    old = replace(usual, id="old", count=900, named=False)
    ones = tuple(replace(usual, id=f"t{number}") for number in range(100))
    new = replace(usual, id="new", deployment_id="d2", count=40, named=False)
    deployments = (replace(D1, id="d2"), replace(D1, status="ACTIVE"))
    seen = ServiceSeen(name="web", desired=1000, deployments=deployments, tasks=(old, *ones, new), maximum_percent=110)
    plan = decide(seen, NOW)
    assert len(plan.stop) == 40, "as many as have healthy successors"
    assert [start.count for start in plan.start] == [60], "up to the ceiling, those being stopped included"
    assert count_tasks(seen.tasks) == 1040


def test_a_grace_period_ends_for_a_crowd_when_it_ends_for_its_first() -> None:
    usual = TaskSeen(id="", deployment_id="d1", last_status="RUNNING", created_at=START, named=False)
    young = replace(usual, id="young", started_at=NOW - timedelta(seconds=10), count=5)
    plan = decide(ServiceSeen(name="web", desired=5, deployments=(D1,), tasks=(young,)), NOW)
    assert not plan.steady and plan.retry_at == NOW + timedelta(seconds=30)
