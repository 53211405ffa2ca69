"""Shared namespaces: one pause container holds what a task's containers share, whatever its network."""

from typing import Any

import pytest

from agent.tasks.model import Phase
from agent.tasks.payload import read_task
from agent.tasks.reading import BadPayload
from tests.support.agent_process import container, task
from tests.support.fake_control_plane import CLUSTER
from tests.unit.agent.host import MemoryHost

PAUSE = "container:ecs-t1-internalecspause"


def host_config(host: MemoryHost, name: str) -> dict[str, Any]:
    config: dict[str, Any] = host.runtime.body_of(f"ecs-t1-{name}")["HostConfig"]
    return config


def test_the_pause_container_starts_first_and_is_joined(host: MemoryHost) -> None:
    shm = {"ShmSize": 64 * 1024 * 1024}
    host.run("t1", container("c", "server", hostConfig=shm), pidMode="task", ipcMode="task")
    assert host.running() == ["internalecspause", "c"]
    joined = host_config(host, "c")
    assert (joined["PidMode"], joined["IpcMode"], joined["NetworkMode"]) == (PAUSE, PAUSE, "bridge")
    pause = host_config(host, "internalecspause")
    assert (pause["NetworkMode"], pause["IpcMode"], pause["ShmSize"]) == ("none", "shareable", shm["ShmSize"])
    assert [c.name for c in host.last("t1").containers] == ["c"]  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["host", "none"])
def test_other_modes_need_no_pause_container(host: MemoryHost, mode: str) -> None:
    host.run("t1", container("c", "server"), ipcMode=mode)
    assert host.running() == ["c"]
    assert host_config(host, "c")["IpcMode"] == mode
    assert "PidMode" not in host_config(host, "c")


def test_the_end_of_the_pause_container_ends_the_task(host: MemoryHost) -> None:
    host.run("t1", container("c", "server"), pidMode="task")
    host.runtime.exit("ecs-t1-internalecspause", 1)
    host.settle()
    assert host.status("t1") is Phase.STOPPED
    assert host.running() == []


@pytest.mark.parametrize("steps", range(8))
def test_a_kill_at_any_step_starts_each_once(host: MemoryHost, steps: int) -> None:
    host.assign("t1", container("c", "server"), pidMode="task")
    for _ in range(steps):
        host.engine.step()
        host.executor.step()
    host.restart()
    host.run("t1", container("c", "server"), pidMode="task")
    assert host.status("t1") is Phase.RUNNING
    assert [host.runtime.starts_of(f"ecs-t1-{name}") for name in ("internalecspause", "c")] == [1, 1]


@pytest.mark.parametrize("members", [{"pidMode": "none"}, {"ipcMode": "shareable"}, {"pidMode": 1}])
def test_modes_that_make_no_sense_are_named(members: dict[str, Any]) -> None:
    with pytest.raises(BadPayload, match=next(iter(members))):
        read_task(task("t1", container("c", "server"), **members), seq=1, cluster=CLUSTER)
