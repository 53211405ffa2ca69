"""The simulated fleet under the real services loop: slow starts, failures, repeats and broken connections from a seed.

Whatever goes wrong on the way, no host is ever over-committed, counts are right at every look, and in the end what is
wished runs, on the hosts as in the store.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import func, select

from bench.fleet import Behaviour, SimulatedFleet
from bench.fleet.registration import make_call
from kit.clock import ManualClock
from kit.secrets import SecretBox
from kit.settings import Settings
from orchestrator.app import Parts
from registry.storage.memory import MemoryStorage
from scheduler.loops.hosts import HostsLoop
from scheduler.loops.services import ServicesLoop
from state.base import Base
from state.container_instances import ContainerInstance
from state.loop import Leases
from state.store import Session, Store
from state.tasks import Task
from tests.support.counts import counts_amiss

HOSTS, WISHED, MEMORY = 20, 500, 64
STORMY = Behaviour(
    start_delay=(0.5, 20.0),
    stop_delay=(0.1, 5.0),
    run_for=(30.0, 600.0),
    exit_failures=0.5,
    cannot_pull=0.03,
    connected_for=60.0,
    away_for=(1.0, 90.0),
    repeats=0.2,
)
CALM = Behaviour(start_delay=(0.1, 1.0))


class Weather:
    """A control plane, its loops and a fleet, on a clock that the test moves."""

    def __init__(self, url: str, folder: Path, seed: int) -> None:
        self.clock = ManualClock()
        self.store = Store(url)
        Base.metadata.create_all(self.store.engine)
        secrets = SecretBox(SecretBox.new_master_key())
        settings = Settings(data=folder)
        self.parts = Parts(
            settings=settings,
            clock=self.clock,
            store=self.store,
            secrets=secrets,
            find_key=lambda name: None,
            storage=MemoryStorage(clock=self.clock),
        )
        self.fleet = SimulatedFleet(
            self.parts, hosts=HOSTS, cpu=8192, memory=30 * MEMORY, behaviour=STORMY, seed=seed, workers=0
        )
        leases = Leases(self.store, self.clock, "one", length=timedelta(hours=1))
        self.loops = (
            HostsLoop(self.store, self.clock, leases),
            ServicesLoop(self.store, self.clock, leases, settings, chance=Random(seed)),
        )
        self.call = make_call(self.parts)

    def tick(self, seconds: float) -> None:
        for loop in self.loops:
            loop.step()
        self.fleet.rest()
        assert not self.store.read(lambda session: [*over_committed(session), *counts_amiss(session)])
        self.clock.tick(seconds=seconds)

    def come_to(self, running: int) -> None:
        """Time passes until that many tasks run and nothing else is left."""
        for _ in range(200):
            self.tick(5)
            if self.statuses() == {"RUNNING": running} and self.fleet.connected == HOSTS:
                return
        raise AssertionError(f"not at rest: {self.statuses()}, {self.fleet.connected} connected")

    def statuses(self) -> Counter[str]:
        query = select(Task.last_status, func.count()).where(Task.last_status != "STOPPED").group_by(Task.last_status)
        return Counter(dict(self.store.read(lambda session: session.execute(query).all())))

    def service(self) -> dict[str, Any]:
        found: dict[str, Any] = self.call("DescribeServices", {"services": ["web"]})["services"][0]
        return found


def over_committed(session: Session) -> Iterator[str]:
    """Hosts whose free and reserved memory are not what they have."""
    query = (
        select(Task.container_instance_id, func.sum(Task.memory))
        .where(Task.last_status != "STOPPED")
        .group_by(Task.container_instance_id)
    )
    reserved = dict(session.execute(query).all())
    for host in session.scalars(select(ContainerInstance)):
        if host.free_memory < 0 or host.free_memory + reserved.get(host.id, 0) != host.registered_memory:
            yield f"{host.id}: {host.free_memory} free, {reserved.get(host.id, 0)} reserved"


@pytest.mark.parametrize("seed", [1, 20])
def test_what_is_wished_comes_to_run_whatever_the_weather(store_url: str, tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}")
    weather = Weather(store_url, tmp_path, seed)
    weather.fleet.register()
    container = {"name": "main", "image": "web:1", "memory": MEMORY, "cpu": 16}
    weather.call("RegisterTaskDefinition", {"family": "web", "containerDefinitions": [container]})
    weather.call("CreateService", {"serviceName": "web", "taskDefinition": "web", "desiredCount": WISHED})

    for _ in range(60):
        weather.tick(5)
    ends = Counter(weather.store.read(lambda session: session.scalars(select(Task.stop_code)).all()))
    assert ends["EssentialContainerExited"] and ends["TaskFailedToStart"], "a storm in which something happens"

    weather.fleet.behave(CALM)
    weather.come_to(WISHED)
    assert weather.fleet.running() == WISHED
    assert weather.service()["runningCount"] == WISHED

    weather.call("UpdateService", {"service": "web", "desiredCount": 50})
    weather.come_to(50)
    assert weather.fleet.running() == 50
    assert weather.fleet.refused == []
    weather.store.close()
