"""What every provisioner promises: both verbs may be repeated, what runs is known, and nothing is left at the end.

The local one runs for real: each host is an agent, a process on this machine, that calls an API where nobody answers.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from kit.processes import find_processes
from scheduler.provisioners import CannotLaunch, Provisioner, Wanted
from scheduler.provisioners.fake import FakeProvisioner
from scheduler.provisioners.local import LocalProvisioner
from tests.support.engine import Engine

FIRST = Wanted(id="a" * 32, cluster="default", cpu=256, memory=512)
SECOND = Wanted(id="b" * 32, cluster="default", cpu=1024, memory=2048)
MOST_ASKED = 100_000
NETWORK = "berth-awsvpc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A provisioner, how it looks to the next process that takes over, and how many hosts there really are."""

    provisioner: Provisioner
    successor: Callable[[], Provisioner]
    count: Callable[[], int]


@pytest.fixture(params=["fake", "local"])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    if request.param == "fake":
        fake = FakeProvisioner(patience=2)
        yield Ground(provisioner=fake, successor=lambda: fake, count=lambda: len(fake.hosts))
        return
    engine: Engine = request.getfixturevalue("docker_engine")
    had_network = bool(engine.client.networks.list(names=[NETWORK]))
    keys = {"AWS_ACCESS_KEY_ID": "AKIANOBODY", "AWS_SECRET_ACCESS_KEY": "nobody", "AWS_DEFAULT_REGION": "us-east-1"}

    def local() -> LocalProvisioner:
        return LocalProvisioner(tmp_path, endpoint="http://127.0.0.1:9", environment=keys)

    provisioner = local()
    try:
        yield Ground(
            provisioner=provisioner,
            successor=local,
            # Agents that find another one on their folder go away by themselves; one lock is one host.
            count=lambda: len([home for home in tmp_path.iterdir() if find_processes(["--data", str(home)])]),
        )
    finally:
        for wanted in (FIRST, SECOND):
            end(provisioner, wanted)
        # Looking is also what reaps those of its children that a successor ended.
        assert provisioner.running() == frozenset()
        if not had_network:
            with contextlib.suppress(docker.errors.APIError):
                engine.client.networks.get(NETWORK).remove()


def end(provisioner: Provisioner, wanted: Wanted) -> None:
    """Ask until nothing is left."""
    for _ in range(MOST_ASKED):
        if provisioner.terminate(wanted.id):
            return
    raise AssertionError(f"{wanted.id} never ended")


def test_what_was_launched_runs_and_launching_it_again_changes_nothing(ground: Ground) -> None:
    assert ground.provisioner.running() == frozenset()
    ground.provisioner.launch(FIRST)
    ground.provisioner.launch(SECOND)
    ground.provisioner.launch(FIRST)
    assert ground.provisioner.running() == {FIRST.id, SECOND.id}
    assert ground.count() == 2


def test_what_was_terminated_is_gone_and_the_rest_is_not(ground: Ground) -> None:
    ground.provisioner.launch(FIRST)
    ground.provisioner.launch(SECOND)
    end(ground.provisioner, FIRST)
    assert ground.provisioner.running() == {SECOND.id}
    assert ground.provisioner.terminate(FIRST.id)


def test_what_never_was_is_gone_at_once(ground: Ground) -> None:
    assert ground.provisioner.terminate("c" * 32)


def test_a_process_that_takes_over_finds_what_runs_and_ends_it(ground: Ground) -> None:
    ground.provisioner.launch(FIRST)
    successor = ground.successor()
    assert successor.running() == {FIRST.id}
    end(successor, FIRST)
    assert ground.count() == 0


def test_a_host_whose_process_died_does_not_run_and_is_launched_again(ground: Ground) -> None:
    ground.provisioner.launch(FIRST)
    end(ground.provisioner, FIRST)
    ground.provisioner.launch(FIRST)
    assert ground.provisioner.running() == {FIRST.id}


def test_the_fake_refuses_when_told_to_and_lets_hosts_die() -> None:
    fake = FakeProvisioner()
    fake.refuse_next("no room")
    with pytest.raises(CannotLaunch, match="no room"):
        fake.launch(FIRST)
    fake.launch(FIRST)
    fake.die(FIRST.id)
    assert fake.running() == frozenset()
    fake.launch(FIRST)
    assert fake.running() == {FIRST.id}
