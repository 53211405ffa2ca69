"""Which RUNNABLE jobs run now, and why the others wait."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from scheduler.queueing import ComputeEnvironment, Dispatch, Held, Hold, Job, Queue, dispatch, order

START = datetime(2030, 1, 1, tzinfo=UTC)
QUEUE = Queue(id="q", priority=1, compute_environments=("ce",))
SMALL = ComputeEnvironment(id="ce", max_cpu=4096)


def job(name: str, second: int = 0, **changes) -> Job:
    plain = Job(id=name, queue="q", cpu=1024, memory=512, created_at=START + timedelta(seconds=second))
    return replace(plain, **changes)


def sent(plan) -> list[str]:
    return [one.job for one in plan.dispatched]


def test_jobs_run_in_the_order_of_submission_and_children_by_index() -> None:
    jobs = [job("b", 2), job("a:10", 1, index=10), job("a:9", 1, index=9), job("c", 0)]
    assert [one.id for one in order([QUEUE], jobs)] == ["c", "a:9", "a:10", "b"]


def test_queues_with_a_higher_priority_go_first_on_shared_capacity() -> None:
    urgent = Queue(id="urgent", priority=10, compute_environments=("ce",))
    jobs = [job("old", 0, cpu=4096), job("new", 9, cpu=4096, queue="urgent")]
    plan = dispatch([QUEUE, urgent], jobs, [SMALL])
    assert sent(plan) == ["new"]
    assert plan.held == (Held(job="old", hold=Hold.CAPACITY, because="4 vCPU asked, ce has 0 vCPU free"),)


def test_environments_are_tried_in_the_order_of_the_queue() -> None:
    queue = replace(QUEUE, compute_environments=("first", "second"))
    environments = [
        ComputeEnvironment(id="second", max_cpu=None),
        ComputeEnvironment(id="first", max_cpu=2048, used_cpu=1024),
    ]
    plan = dispatch([queue], [job("a", 0), job("b", 1)], environments)
    assert plan.dispatched == (
        Dispatch(job="a", compute_environment="first"),
        Dispatch(job="b", compute_environment="second"),
    )


def test_a_large_job_at_the_head_is_not_starved_by_small_ones_behind_it() -> None:
    jobs = [job("large", 0, cpu=4096), job("small", 1, cpu=1024)]
    busy = replace(SMALL, used_cpu=2048)
    plan = dispatch([QUEUE], jobs, [busy])
    assert [(one.job, one.hold) for one in plan.held] == [("large", Hold.CAPACITY), ("small", Hold.BEHIND)]
    assert plan.text() == "compute environments are full: 1; behind a job that waits for room: 1"
    assert plan.held[1].because.startswith("job large asks for 4 vCPU; 1 vCPU asked")


def test_a_job_that_can_never_fit_blocks_nobody() -> None:
    jobs = [job("giant", 0, cpu=8192), job("small", 1)]
    plan = dispatch([QUEUE], jobs, [SMALL])
    assert sent(plan) == ["small"]
    assert plan.held[0].hold is Hold.TOO_LARGE
    assert plan.held[0].because == "8 vCPU asked, maxvCpus is 4"


def test_disabled_and_invalid_environments_take_no_jobs() -> None:
    for unusable in (replace(SMALL, state="DISABLED"), replace(SMALL, status="INVALID")):
        plan = dispatch([QUEUE], [job("a")], [unusable])
        assert plan.reasons() == {"no usable compute environment": 1}
    assert dispatch([QUEUE], [job("a")], []).held[0].because.startswith("queue q has no")


def test_a_lowered_maximum_below_what_is_used_takes_no_jobs() -> None:
    assert sent(dispatch([QUEUE], [job("a")], [replace(SMALL, max_cpu=1024, used_cpu=4096)])) == []


environments = st.lists(
    st.builds(
        ComputeEnvironment,
        id=st.sampled_from("xyz"),
        max_cpu=st.one_of(st.none(), st.integers(0, 8).map(lambda vcpus: vcpus * 1024)),
        used_cpu=st.integers(0, 4).map(lambda vcpus: vcpus * 1024),
        state=st.sampled_from(["ENABLED", "ENABLED", "DISABLED"]),
    ),
    unique_by=lambda one: one.id,
)
queues = st.lists(
    st.builds(
        Queue,
        id=st.sampled_from("pq"),
        priority=st.integers(0, 2),
        compute_environments=st.permutations("xyz").map(tuple),
    ),
    unique_by=lambda one: one.id,
)
jobs = st.lists(
    st.builds(
        Job,
        id=st.uuids().map(str),
        queue=st.sampled_from("pqr"),
        cpu=st.integers(1, 6).map(lambda vcpus: vcpus * 1024),
        memory=st.just(512),
        created_at=st.integers(0, 3).map(lambda second: START + timedelta(seconds=second)),
    ),
    max_size=10,
    unique_by=lambda one: one.id,
)


@given(queues=queues, jobs=jobs, environments=environments)
def test_no_environment_is_overfilled_and_no_job_overtakes_its_like(queues, jobs, environments) -> None:
    plan = dispatch(queues, jobs, environments)
    ordered = order(queues, jobs)
    answered = [one.job for one in plan.results]
    assert answered == [one.id for one in ordered]
    taken: dict[str, int] = defaultdict(int)
    by_id = {one.id: one for one in jobs}
    for one in plan.dispatched:
        taken[one.compute_environment] += by_id[one.job].cpu
    for environment in environments:
        if taken[environment.id]:
            assert environment.state == "ENABLED"
            if environment.max_cpu is not None:
                assert taken[environment.id] + environment.used_cpu <= environment.max_cpu
    ran = set(sent(plan))
    for before, after in pairwise(ordered):
        if before.queue == after.queue and before.cpu == after.cpu and after.id in ran:
            assert before.id in ran
    assert dispatch(queues, list(reversed(jobs)), environments) == plan
