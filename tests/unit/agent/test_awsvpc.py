"""Which addresses awsvpc tasks get: those that a person has chosen or none, and otherwise any that are free."""

from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest

from agent.awsvpc import DEFAULT_CIDR, ensure_network, siblings
from agent.runtime import Refused
from agent.runtime.simulated import SimulatedRuntime
from kit.clock import ManualClock

CHOSEN = "10.240.7.0/24"


class Engine(SimulatedRuntime):
    """Refuses addresses that another network has, and removes none that is in use."""

    def __init__(self) -> None:
        super().__init__(clock=ManualClock())
        self.taken: set[str] = set()
        self.in_use = False

    def network(self, name: str, cidr: str) -> str:
        if cidr in self.taken:
            raise Refused("Pool overlaps with other one on this address space")
        return super().network(name, cidr)

    def remove_network(self, name: str) -> bool:
        return False if self.in_use else super().remove_network(name)


@pytest.fixture
def engine() -> Iterator[Engine]:
    yield Engine()


def test_the_next_networks_of_the_same_size_are_tried() -> None:
    found = [IPv4Network(cidr) for cidr in siblings("10.233.0.0/20")]
    assert [str(network) for network in found[:2]] == ["10.233.16.0/20", "10.233.32.0/20"]
    assert len(found) == 15
    assert all(network.subnet_of(IPv4Network("10.233.0.0/16")) for network in found)


def test_a_large_network_has_none_and_a_small_one_not_too_many() -> None:
    assert list(siblings("10.0.0.0/8")) == []
    assert 0 < len(list(siblings("10.233.0.0/28"))) < 64


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelname == "WARNING"]


def test_without_a_choice_the_first_free_addresses_are_taken(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    engine.taken = {DEFAULT_CIDR, "10.233.16.0/20"}
    assert ensure_network(engine, "vpc", DEFAULT_CIDR) == "10.233.32.0/20"
    assert ensure_network(engine, "vpc", DEFAULT_CIDR) == "10.233.32.0/20"
    assert warnings(caplog) == []


def test_where_no_addresses_are_free_that_is_said_once(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    engine.taken = {DEFAULT_CIDR, *siblings(DEFAULT_CIDR)}
    assert ensure_network(engine, "vpc", DEFAULT_CIDR) == DEFAULT_CIDR
    assert warnings(caplog) == ["awsvpc network not made"]


def test_chosen_addresses_that_are_taken_are_never_exchanged_for_a_neighbours(engine: Engine) -> None:
    engine.taken = {CHOSEN}
    assert ensure_network(engine, "vpc", CHOSEN) == CHOSEN
    assert engine.network("vpc", "10.1.0.0/24") == "10.1.0.0/24"


def test_a_network_from_before_the_choice_is_made_anew(engine: Engine) -> None:
    engine.network("vpc", DEFAULT_CIDR)
    assert ensure_network(engine, "vpc", CHOSEN) == CHOSEN
    assert engine.network("vpc", DEFAULT_CIDR) == CHOSEN


def test_a_network_from_before_the_choice_stays_while_tasks_are_on_it(engine: Engine) -> None:
    engine.network("vpc", DEFAULT_CIDR)
    engine.in_use = True
    assert ensure_network(engine, "vpc", CHOSEN) == DEFAULT_CIDR
