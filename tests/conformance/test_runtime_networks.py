"""Networks, ports and volumes, as every runtime driver makes and removes them."""

import uuid

import pytest

from agent.runtime import NotFound, Refused, Status
from tests.conformance.runtime_rigs import GRACE, Rig


def test_free_ports_are_chosen_and_taken_ones_refused(rig: Rig) -> None:
    first = rig.started("a", "sleep", PortBindings={"80/tcp": [{"HostPort": ""}]})
    [port] = rig.runtime.inspect(first).ports
    assert (port.container_port, port.protocol, port.bind_ip) == (80, "tcp", "0.0.0.0")
    second = rig.create("b", "sleep", PortBindings={"80/tcp": [{"HostPort": str(port.host_port)}]})
    with pytest.raises(Refused, match="port is already allocated"):
        rig.runtime.start(second)


def test_a_network_is_made_once_and_keeps_its_addresses(rig: Rig) -> None:
    name = rig.name("net")
    cidr = f"10.{200 + uuid.uuid4().int % 32}.{uuid.uuid4().int % 256}.0/28"
    assert rig.runtime.network(name, cidr) == cidr
    assert rig.runtime.network(name, "10.99.0.0/28") == cidr
    rig.started("c", "sleep", NetworkMode=name)
    assert not rig.runtime.remove_network(name)
    rig.runtime.remove(rig.name("c"))
    assert rig.runtime.remove_network(name)
    assert rig.runtime.remove_network(name)


def test_containers_share_a_network_namespace_only_while_its_owner_runs(rig: Rig) -> None:
    owner = rig.create("owner", "sleep")
    guest = rig.create("guest", "sleep", NetworkMode=f"container:{rig.name('owner')}")
    with pytest.raises(Refused):
        rig.runtime.start(guest)
    rig.runtime.start(owner)
    rig.runtime.start(guest)
    assert rig.runtime.inspect(guest).status is Status.RUNNING


def test_volumes_come_and_go(rig: Rig) -> None:
    name = rig.name("vol")
    assert not rig.runtime.has_volume(name)
    rig.runtime.create_volume(name, "local", {}, rig.labels)
    rig.runtime.create_volume(name, "local", {}, rig.labels)
    assert rig.runtime.has_volume(name)
    rig.runtime.remove_volume(name)
    rig.runtime.remove_volume(name)
    assert not rig.runtime.has_volume(name)


def test_a_volume_has_a_place_on_the_engines_machine(rig: Rig) -> None:
    name = rig.name("vol")
    with pytest.raises(NotFound):
        rig.runtime.volume_path(name)
    rig.runtime.create_volume(name, "local", {}, rig.labels)
    path = rig.runtime.volume_path(name)
    assert path.startswith("/")
    assert name in path


def test_a_container_on_the_bridge_has_an_address_while_it_runs(rig: Rig) -> None:
    container = rig.started("c", "sleep", NetworkMode="bridge")
    assert rig.runtime.inspect(container).address
    rig.runtime.stop(container, GRACE)
    assert not rig.runtime.inspect(container).address
