"""Services kept even over availability zones: boto3 asks, hosts come in zones, and tasks move one at a time."""

from collections import Counter
from typing import Any

import pytest

from scheduler.loops import service_names
from tests.support.services import NEEDED, ServicesPlane

SPREAD = [{"type": "spread", "field": "attribute:ecs.availability-zone"}]
PACKED = [{"type": "binpack", "field": "memory"}]


def add_host(plane: ServicesPlane, zone: str, **members: Any) -> str:
    attributes = [{"name": name, "value": ""} for name in NEEDED]
    return plane.add_host(attributes=[*attributes, {"name": "ecs.availability-zone", "value": zone}], **members)


def by_zone(plane: ServicesPlane, hosts: dict[str, str]) -> Counter[str]:
    return Counter(hosts[str(task.container_instance_id)] for task in plane.tasks() if task.desired_status == "RUNNING")


@pytest.mark.parametrize("few", [1000, 2])
def test_tasks_move_to_a_zone_that_comes_late(plane: ServicesPlane, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_names, "FEW", few)
    hosts = {add_host(plane, "a"): "a"}
    made = plane.create(4)
    assert made["availabilityZoneRebalancing"] == "ENABLED"
    plane.come_to_rest()
    hosts[add_host(plane, "b")] = "b"
    plane.step()
    assert by_zone(plane, hosts) == {"a": 4, "b": 1}
    plane.run()
    plane.step()
    assert by_zone(plane, hosts) == {"a": 4, "b": 1}, "one that has not settled replaces none"
    plane.tick(seconds=41)
    plane.step()
    assert by_zone(plane, hosts) == {"a": 3, "b": 1}
    plane.come_to_rest()
    assert by_zone(plane, hosts) == {"a": 2, "b": 2}
    told = [message for message in plane.messages() if "AZ " in message]
    assert told[0] == (
        "(service web) is not AZ balanced with 4 tasks in a and 0 tasks in b. AZ Rebalancing in progress."
    )
    assert told[-1] == "(service web) is AZ balanced with 2 tasks in a and 2 tasks in b."
    assert len(told) == 6
    assert plane.service()["deployments"][0]["rolloutState"] == "COMPLETED"


def test_a_zone_without_room_is_waited_for_and_nothing_is_said_twice(plane: ServicesPlane) -> None:
    hosts = {add_host(plane, "a"): "a"}
    plane.create(4)
    plane.come_to_rest()
    add_host(plane, "b", memory=32)
    for _ in range(4):
        plane.step()
        plane.tick(seconds=61)
    assert by_zone(plane, hosts) == {"a": 4}
    waits = [message for message in plane.messages() if "waits for room in b" in message]
    assert len(waits) == 1 and "memory: 64 MiB asked, 32 free on" in waits[0]
    assert not any("unable" in message for message in plane.messages())
    before = plane.messages()
    hosts[add_host(plane, "b")] = "b"
    plane.come_to_rest()
    assert by_zone(plane, hosts) == {"a": 2, "b": 2}
    assert len(plane.messages()) > len(before)


def test_a_service_that_does_not_rebalance_stays_as_it_is(plane: ServicesPlane) -> None:
    hosts = {add_host(plane, "a"): "a"}
    plane.create(4, availabilityZoneRebalancing="DISABLED")
    plane.come_to_rest()
    hosts[add_host(plane, "b")] = "b"
    plane.step(3)
    assert by_zone(plane, hosts) == {"a": 4}
    assert plane.update(availabilityZoneRebalancing="ENABLED")["availabilityZoneRebalancing"] == "ENABLED"
    assert len(plane.service()["deployments"]) == 1, "that begins no deployment"
    plane.come_to_rest()
    assert by_zone(plane, hosts) == {"a": 2, "b": 2}


def test_a_zone_that_the_tasks_may_not_use_is_no_zone_of_theirs(plane: ServicesPlane) -> None:
    hosts = {add_host(plane, "a", ec2_instance_id="i-1"): "a"}
    rule = {"type": "memberOf", "expression": "ec2InstanceId == i-1"}
    plane.create(4, placementConstraints=[rule])
    plane.come_to_rest()
    add_host(plane, "b", ec2_instance_id="i-2")
    plane.step(3)
    assert by_zone(plane, hosts) == {"a": 4}


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"placementStrategy": PACKED}, "first placement strategy is not spread"),
        ({"placementStrategy": [*PACKED, *SPREAD]}, "first placement strategy is not spread"),
        (
            {"deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 100}},
            "maximumPercent of 100 or less",
        ),
        ({"schedulingStrategy": "DAEMON"}, "DAEMON"),
        ({"launchType": "EXTERNAL"}, "EXTERNAL"),
        (
            {"placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.availability-zone == a"}]},
            "placement constraint on attribute:ecs.availability-zone",
        ),
    ],
)
def test_what_cannot_be_rebalanced_is_refused_when_asked_for_and_off_when_not(
    plane: ServicesPlane, members: dict[str, Any], text: str
) -> None:
    plane.register(requiresCompatibilities=["EC2", "EXTERNAL"])
    count = None if "schedulingStrategy" in members else 1
    with pytest.raises(plane.ecs.exceptions.InvalidParameterException, match=text):
        plane.create(count, availabilityZoneRebalancing="ENABLED", **members)
    assert plane.create(count, **members)["availabilityZoneRebalancing"] == "DISABLED"


def test_an_update_that_hinders_rebalancing_turns_it_off(plane: ServicesPlane) -> None:
    assert plane.create(1, placementStrategy=SPREAD)["availabilityZoneRebalancing"] == "ENABLED"
    with pytest.raises(plane.ecs.exceptions.InvalidParameterException, match="cannot be ENABLED"):
        plane.update(placementStrategy=PACKED, availabilityZoneRebalancing="ENABLED")
    assert plane.update(desiredCount=2)["availabilityZoneRebalancing"] == "ENABLED"
    assert plane.update(placementStrategy=PACKED)["availabilityZoneRebalancing"] == "DISABLED"
