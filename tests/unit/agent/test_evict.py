"""Eviction: an ended agent's containers and volumes are removed; a living one's are not touched."""

from pathlib import Path

import pytest

from agent.evict import evict
from agent.identity import DataLock, IdentityFile
from agent.runtime import Temporary
from agent.tasks.render import AGENT_LABEL
from tests.support.agent_process import container
from tests.unit.agent.host import HOST, MemoryHost


def settled(tmp_path: Path) -> MemoryHost:
    """A host whose agent has ended while a task with a volume of its own runs."""
    file = IdentityFile(tmp_path)
    host = MemoryHost(tmp_path)
    identity = file.load("default")
    (tmp_path / "agent.json").write_text((tmp_path / "agent.json").read_text().replace(identity.id, HOST.agent_id))
    mount = [{"sourceVolume": "own", "containerPath": "/own"}]
    volume = {"name": "own", "type": "docker", "dockerVolumeConfiguration": {"scope": "task"}}
    host.run("t1", container("web", "server", mountPoints=mount), volumes=[volume])
    assert host.runtime.has_volume("ecs-t1-own")
    host.crash()
    return host


def test_nothing_of_an_ended_agent_is_left(tmp_path: Path) -> None:
    host = settled(tmp_path)
    other = host.runtime.create("other", {"Image": "server", "Labels": {AGENT_LABEL: "somebody-else"}})
    assert evict(tmp_path, host.runtime) == 0
    assert [state.id for state in host.runtime.list({})] == [other]
    assert not host.runtime.has_volume("ecs-t1-own")


def test_the_agent_that_comes_back_reports_its_tasks_stopped(tmp_path: Path) -> None:
    host = settled(tmp_path)
    evict(tmp_path, host.runtime)
    host.boot()
    host.settle()
    assert host.status("t1") == "STOPPED"


def test_a_living_agent_is_not_evicted(tmp_path: Path) -> None:
    host = settled(tmp_path)
    lock = DataLock(tmp_path)
    assert evict(tmp_path, host.runtime) == 3
    lock.release()
    assert host.running() == ["web"]


def test_without_data_there_is_nothing_to_evict_and_without_an_engine_it_fails(tmp_path: Path) -> None:
    host = settled(tmp_path)
    assert evict(tmp_path / "absent", host.runtime) == 0
    host.runtime.fail_next("list", Temporary("away"))
    assert evict(tmp_path, host.runtime) == 1


@pytest.mark.parametrize("place", ["lock", "agent.json"])
def test_a_data_directory_that_cannot_be_read_is_said_to_be_so(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    host = settled(tmp_path)
    (tmp_path / place).unlink(missing_ok=True)
    (tmp_path / place).mkdir()
    assert evict(tmp_path, host.runtime) == 1
    assert "Is a directory" in capsys.readouterr().err
