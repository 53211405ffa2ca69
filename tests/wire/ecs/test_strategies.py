"""Placement strategies through boto3: RunTask honours their chains, and refuses those that make no sense in words."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.tasks import TasksPlane


def link(kind: str, field: str = "") -> dict[str, str]:
    return {"type": kind, **({"field": field} if field else {})}


def placed(plane: TasksPlane, count: int, *chain: dict[str, str]) -> Counter[str]:
    """How many of as many tasks as are run together go to each host, by ARN."""
    answer: dict[str, Any] = plane.ecs.run_task(taskDefinition="t", count=count, placementStrategy=chain)
    assert not answer["failures"]
    return Counter(task["containerInstanceArn"] for task in answer["tasks"])


def test_each_link_of_a_chain_narrows_what_the_last_left(plane: TasksPlane) -> None:
    plane.add_host(memory=1024, rack="1")
    small = plane.add_host(memory=512, rack="1")
    other = plane.add_host(memory=1024, rack="2")
    plane.register()
    chain = [link("spread", "attribute:rack"), link("binpack", "memory")]
    assert placed(plane, 4, *chain) == {small: 2, other: 2}
    assert placed(plane, 2, *chain) == {small: 1, other: 1}


def test_instances_take_turns_and_binpack_fills_one(plane: TasksPlane) -> None:
    hosts = {plane.add_host(cpu=size) for size in (512, 1024, 2048)}
    plane.register("t", {"name": "main", "image": "i", "memory": 64, "cpu": 128})
    assert placed(plane, 6, link("spread", "host")) == dict.fromkeys(hosts, 2)
    assert len(placed(plane, 2, link("binpack", "CPU"))) == 1


@pytest.mark.parametrize(
    ("chain", "text"),
    [
        ([link("spread", "zone")], "spread strategy takes the field instanceId, host or attribute:NAME, not 'zone'"),
        ([link("spread")], "attribute:NAME, and none was given"),
        ([link("binpack", "disk")], "binpack strategy takes the field cpu, memory or cpu.memory, not 'disk'"),
        ([link("random")] * 6, "at most 5 rules, not 6"),
        ([link("nearest")], "nearest"),
    ],
)
def test_what_makes_no_sense_is_refused(plane: TasksPlane, chain: Sequence[dict[str, str]], text: str) -> None:
    plane.add_host()
    plane.register()
    with pytest.raises(ClientError, match=text) as refused:
        plane.ecs.run_task(taskDefinition="t", placementStrategy=chain)
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"
