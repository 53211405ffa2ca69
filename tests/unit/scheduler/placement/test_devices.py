"""GPUs, accelerators and ranges of ports: what a task definition asks for, and which container gets which device."""

from typing import Any

import pytest

from scheduler.placement import BadSize, demand_of, gpus_by_container, port_range, share_gpus


def needs(name: str, *requirements: tuple[str, str], **members: Any) -> dict[str, Any]:
    given = [{"type": kind, "value": value} for kind, value in requirements]
    return {"name": name, "memory": 64, "resourceRequirements": given, **members}


def test_gpus_of_all_containers_add_up_and_an_override_replaces_its_containers_own() -> None:
    definition = {"containerDefinitions": [needs("a", ("GPU", "1")), needs("b"), needs("c", ("GPU", "2"))]}
    assert demand_of(definition).gpus == 3
    overrides = {"containerOverrides": [needs("c", ("GPU", "4")), needs("b", ("GPU", "1"))]}
    assert gpus_by_container(definition, overrides) == {"a": 1, "b": 1, "c": 4}
    assert demand_of(definition, overrides).gpus == 6


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "ALL", "", "many", "10000", "٣"])
def test_a_number_of_gpus_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(BadSize, match="number of GPUs"):
        demand_of({"containerDefinitions": [needs("a", ("GPU", value))]})


def test_an_accelerator_is_one_of_the_resource_of_its_type_however_many_containers_name_it() -> None:
    definition = {
        "inferenceAccelerators": [
            {"deviceName": "device_1", "deviceType": "eia2.medium"},
            {"deviceName": "device_2", "deviceType": "eia2.medium"},
            {"deviceName": "device_3", "deviceType": "eia2.large"},
        ],
        "containerDefinitions": [
            needs("a", ("InferenceAccelerator", "device_1"), ("InferenceAccelerator", "device_2")),
            needs("b", ("InferenceAccelerator", "device_1"), ("InferenceAccelerator", "device_3")),
        ],
    }
    assert demand_of(definition).resources == (("eia2.large", 1), ("eia2.medium", 2))
    other = {"inferenceAcceleratorOverrides": [{"deviceName": "device_3", "deviceType": "eia2.medium"}]}
    assert demand_of(definition, other).resources == (("eia2.medium", 3),)


def test_each_container_gets_devices_of_its_own_in_the_order_of_the_definition() -> None:
    definition = {"containerDefinitions": [needs("a", ("GPU", "1")), needs("b"), needs("c", ("GPU", "2"))]}
    assert share_gpus(definition, None, ("x", "y", "z")) == {"a": ("x",), "c": ("y", "z")}
    with pytest.raises(ValueError, match="2 GPUs were placed"):
        share_gpus(definition, None, ("x", "y"))


def test_a_range_of_ports_holds_both_its_ends() -> None:
    assert list(port_range("8000-8002")) == [8000, 8001, 8002]
    for text in ("8000", "8002-8000", "8000-8000", "0-10", "1-65536", "a-b", "1-2-3", "", "8000 - 8002"):
        with pytest.raises(BadSize, match="containerPortRange"):
            port_range(text)
