"""Networks on a real engine, which lets two agents that ask at once make two of one name."""

import uuid
from typing import Any

from docker.types import IPAMConfig, IPAMPool

from agent.runtime.docker import DockerRuntime, Network
from kit.clock import SystemClock
from tests.support.engine import Engine


def make(engine: Engine, name: str, cidr: str) -> str:
    ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=cidr)])
    made: dict[str, Any] = engine.client.api.create_network(name, ipam=ipam, labels=engine.labels)
    return str(made["Id"])


def ids(engine: Engine, name: str) -> set[str]:
    return {network["Id"] for network in engine.client.api.networks(names=[name]) if network["Name"] == name}


class Late(DockerRuntime):
    """Looks for the network, and then another agent is quicker."""

    def __init__(self, engine: Engine, name: str, cidr: str) -> None:
        super().__init__(clock=SystemClock(), host=engine.host)
        self.elder = ""
        self._other = (engine, name, cidr)

    def _networks(self, name: str) -> tuple[Network, ...]:
        found = super()._networks(name)
        if not self.elder:
            self.elder = make(*self._other)
        return found


def test_of_two_networks_made_at_once_the_elder_stays(docker_engine: Engine) -> None:
    name = f"berth-test-{uuid.uuid4().hex[:8]}"
    third, fourth = (uuid.uuid4().int % 200 for _ in range(2))
    elders = f"10.{200 + third % 32}.{fourth}.0/28"
    late = Late(docker_engine, name, elders)

    assert late.network(name, f"10.{200 + third % 32}.{fourth}.128/28") == elders
    assert ids(docker_engine, name) == {late.elder}
    assert late.remove_network(name)
    assert not ids(docker_engine, name)
