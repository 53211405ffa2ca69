"""When a Batch job may run, and which submissions are refused."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.queueing import (
    BadDependency,
    Dependency,
    Doomed,
    Ready,
    Waiting,
    check_submission,
    decide_dependencies,
    find_cycle,
    waits_for,
)

ON_A, ON_B = Dependency(job_id="a"), Dependency(job_id="b")
SEQUENTIAL = Dependency(type="SEQUENTIAL")
N_TO_N = Dependency(job_id="a", type="N_TO_N")


def test_a_job_without_dependencies_is_ready() -> None:
    assert decide_dependencies("j", (), {}) == Ready()


def test_a_job_waits_for_all_and_is_ready_when_all_succeeded() -> None:
    waiting = decide_dependencies("j", (ON_A, ON_B), {"a": "RUNNING", "b": "SUBMITTED"})
    assert waiting == Waiting(on=("a", "b"))
    assert waiting.text() == "waiting for job a and 1 more"
    assert decide_dependencies("j", (ON_A, ON_B), {"a": "SUCCEEDED", "b": "RUNNING"}) == Waiting(on=("b",))
    assert decide_dependencies("j", (ON_A, ON_B), {"a": "SUCCEEDED", "b": "SUCCEEDED"}) == Ready()


@pytest.mark.parametrize("statuses", [{"a": "RUNNING", "b": "FAILED"}, {"a": "RUNNING"}])
def test_one_failed_or_forgotten_dependency_dooms_the_job(statuses) -> None:
    doomed = decide_dependencies("j", (ON_A, ON_B), statuses)
    assert doomed == Doomed(because="Dependent Job failed", job_id="b")


def test_sequential_children_follow_each_other() -> None:
    assert decide_dependencies("j:0", (SEQUENTIAL,), {}, index=0) == Ready()
    assert waits_for("j:3", (SEQUENTIAL,), index=3) == ("j:2",)
    assert isinstance(decide_dependencies("j:3", (SEQUENTIAL,), {"j:2": "FAILED"}, index=3), Doomed)


def test_n_to_n_children_wait_for_their_counterpart_alone() -> None:
    statuses = {"a": "PENDING", "a:0": "FAILED", "a:1": "SUCCEEDED"}
    assert decide_dependencies("j:1", (N_TO_N,), statuses, index=1) == Ready()
    assert isinstance(decide_dependencies("j:0", (N_TO_N,), statuses, index=0), Doomed)
    assert decide_dependencies("j", (N_TO_N,), statuses) == Ready(), "the parent waits for nobody"


def test_a_child_waits_for_plain_dependencies_too_and_for_each_once() -> None:
    assert waits_for("j:1", (ON_A, SEQUENTIAL, ON_A, ON_B), index=1) == ("a", "j:0", "b")
    typed = Dependency(job_id="a", type="SEQUENTIAL")
    assert waits_for("j:1", (typed,), index=1) == ("a",)


SIZES = {"a": 5, "b": None}


def test_what_batch_takes_is_taken() -> None:
    check_submission((ON_A, ON_B), sizes=SIZES)
    check_submission((N_TO_N, SEQUENTIAL, ON_B), array_size=5, sizes=SIZES)
    check_submission((), array_size=10_000, sizes={})


@pytest.mark.parametrize(
    ("depends_on", "array_size", "message"),
    [
        ((), 1, "between 2 and 10000"),
        ((), 10_001, "between 2 and 10000"),
        ((ON_A,) * 21, None, "at most 20"),
        ((Dependency(),), None, "needs a jobId"),
        ((Dependency(job_id="ghost"),), None, "ghost does not exist"),
        ((SEQUENTIAL,), None, "array jobs"),
        ((N_TO_N,), None, "array jobs"),
        ((Dependency(type="N_TO_N"),), 5, "needs a jobId"),
        ((N_TO_N,), 4, "not an array job of size 4"),
        ((Dependency(job_id="b", type="N_TO_N"),), 5, "not an array job of size 5"),
        ((Dependency(job_id="a", type="ANY"),), 5, "ANY"),
    ],
)
def test_what_batch_refuses_is_refused(depends_on, array_size, message) -> None:
    with pytest.raises(BadDependency, match=message):
        check_submission(depends_on, array_size=array_size, sizes=SIZES)


def test_a_cycle_is_found_and_shown() -> None:
    assert find_cycle({"a": ["b"], "b": ["c"], "c": []}) is None
    assert find_cycle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ("b", "c", "b")
    assert find_cycle({"a": ["a"]}) == ("a", "a")
    long = {str(number): [str(number + 1)] for number in range(20_000)}
    assert find_cycle(long) is None


nodes = st.integers(0, 6).map(str)


@given(st.dictionaries(nodes, st.lists(nodes, max_size=3), max_size=7))
def test_find_cycle_agrees_with_pulling_out_leaves(edges) -> None:
    left = {node: set(edges.get(node, ())) for node in {*edges, *(b for bs in edges.values() for b in bs)}}
    while leaves := [node for node, targets in left.items() if not targets & left.keys()]:
        for node in leaves:
            del left[node]
    cycle = find_cycle(edges)
    assert (cycle is None) == (not left)
    if cycle is not None:
        assert cycle[0] == cycle[-1]
        assert all(following in edges[node] for node, following in pairwise(cycle))
