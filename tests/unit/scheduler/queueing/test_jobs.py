"""A job's command, its resources, and what an array makes of its children."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.queueing import (
    BadResources,
    JobDemand,
    Status,
    demand_of_job,
    parent_status,
    status_summary,
    substitute,
)


@pytest.mark.parametrize(
    ("parameters", "command", "expected"),
    [
        ({"x": "1"}, ["echo", "Ref::x"], ("echo", "1")),
        ({"x": "1"}, ["sh", "-c", "echo --x=Ref::x,Ref::x"], ("sh", "-c", "echo --x=1,1")),
        ({"x": "1"}, ["Ref::y", "Ref::xy", "Ref::x_y"], ("Ref::y", "Ref::xy", "Ref::x_y")),
        ({"in": "1", "in-file": "2"}, ["Ref::in-file", "Ref::in"], ("2", "1")),
        ({"a": "Ref::b", "b": "no"}, ["Ref::a"], ("Ref::b",)),
        ({"x": r"\1 $HOME"}, ["Ref::x"], (r"\1 $HOME",)),
        ({"x.y+": "dots"}, ["Ref::x.y+"], ("dots",)),
        ({"x": ""}, ["Ref::x"], ("",)),
        ({}, ["Ref::x"], ("Ref::x",)),
    ],
)
def test_placeholders_become_their_values(parameters, command, expected) -> None:
    assert substitute(parameters, command) == expected


def requirements(**values: str) -> dict:
    return {"resourceRequirements": [{"type": kind, "value": value} for kind, value in values.items()]}


def test_resources_are_read_in_cpu_units_and_mib() -> None:
    assert demand_of_job(requirements(VCPU="2", MEMORY="2048")) == JobDemand(cpu=2048, memory=2048)
    assert demand_of_job({"vcpus": 1, "memory": 64}) == JobDemand(cpu=1024, memory=64)
    assert demand_of_job(requirements(VCPU="1", MEMORY="64", GPU="2")).gpus == 2


def test_overrides_win_type_by_type() -> None:
    container = {"vcpus": 1, "memory": 64, **requirements(MEMORY="128")}
    assert demand_of_job(container, requirements(VCPU="4")) == JobDemand(cpu=4096, memory=128)
    assert demand_of_job(container, {"memory": 256}) == JobDemand(cpu=1024, memory=256)


@pytest.mark.parametrize(("vcpu", "memory"), [("0.25", "512"), ("0.5", "4096"), ("8", "61440"), ("32", "249856")])
def test_fargate_takes_its_own_pairs(vcpu: str, memory: str) -> None:
    demand = demand_of_job(requirements(VCPU=vcpu, MEMORY=memory), fargate=True)
    assert demand == JobDemand(cpu=int(float(vcpu) * 1024), memory=int(memory))


@pytest.mark.parametrize(
    ("container", "fargate"),
    [
        ({}, False),
        (requirements(VCPU="1"), False),
        (requirements(MEMORY="1"), False),
        (requirements(VCPU="0", MEMORY="64"), False),
        (requirements(VCPU="0.5", MEMORY="64"), False),
        (requirements(VCPU="1", MEMORY="3"), False),
        (requirements(VCPU="one", MEMORY="64"), False),
        (requirements(VCPU="1", MEMORY="64", TPU="1"), False),
        (requirements(VCPU="1", MEMORY="64", GPU="0"), False),
        (requirements(VCPU="0.25", MEMORY="4096"), True),
        (requirements(VCPU="0.3", MEMORY="512"), True),
        (requirements(VCPU="3", MEMORY="8192"), True),
        (requirements(VCPU="1/4", MEMORY="512"), True),
        (requirements(VCPU="1e9", MEMORY="512"), True),
        (requirements(VCPU="1", MEMORY="2048", GPU="1"), True),
    ],
)
def test_impossible_resources_are_refused(container, fargate) -> None:
    with pytest.raises(BadResources):
        demand_of_job(container, fargate=fargate)


counts = st.dictionaries(st.sampled_from(list(Status)), st.integers(1, 9), min_size=1)


@given(counts)
def test_an_array_is_finished_exactly_when_all_its_children_are(children) -> None:
    status = parent_status(children)
    finished = not children.keys() - {Status.SUCCEEDED, Status.FAILED}
    assert (status in (Status.SUCCEEDED, Status.FAILED)) == finished
    if finished:
        assert (status == Status.FAILED) == (Status.FAILED in children)
    else:
        assert status == (Status.SUBMITTED if set(children) == {Status.SUBMITTED} else Status.PENDING)
    summary = status_summary(children)
    assert sum(summary.values()) == sum(children.values()) and len(summary) == len(Status)
