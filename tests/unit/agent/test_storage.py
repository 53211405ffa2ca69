"""Storage: what tasks may write is bounded, looking costs little, and other tasks are left alone."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.runtime import Temporary
from agent.runtime.simulated import Program
from agent.storage import GIB, LOOK_EVERY, SHARE, StorageWatch, size_of
from agent.tasks.model import Phase
from agent.tasks.payload import read_task
from agent.tasks.reading import BadPayload
from tests.support.agent_process import container, task
from tests.support.fake_control_plane import CLUSTER, task_arn
from tests.unit.agent.host import MemoryHost

FARGATE = {"launchType": "FARGATE", "ephemeralStorage": {"sizeInGiB": 21}}


def watch(host: MemoryHost, stopwatch: Callable[[], float] = lambda: 0.0) -> StorageWatch:
    return StorageWatch(
        runtime=host.runtime,
        tasks=lambda: host.engine.tasks(),
        post=lambda message: host.engine.post(message),
        steady=host.steady,
        stopwatch=stopwatch,
    )


def writing(host: MemoryHost, gib: float) -> None:
    host.runtime.programs["writer"] = Program(writes=int(gib * GIB))


def test_a_task_that_writes_more_than_it_may_is_stopped_and_told_why(host: MemoryHost) -> None:
    writing(host, 12.5)
    host.run("t1", container("a", "writer"), container("b", "writer"), **FARGATE)
    host.run("t2", container("a", "writer"), **FARGATE)
    watching = watch(host)
    watching.step()
    host.tick(60)
    report = host.last("t1")
    assert report
    assert report.status is Phase.STOPPED
    assert report.reason == (
        "OutOfStorageError: the task has written 25.0 GiB, more than its ephemeralStorage of 21 GiB"
    )
    assert host.status("t2") is Phase.RUNNING
    assert watching.used == {task_arn("t1"): 25 * 1024, task_arn("t2"): 12 * 1024 + 512}
    watching.step()
    assert watching.used.keys() == {task_arn("t2")}


def test_what_is_in_a_tasks_own_volumes_counts_and_what_is_elsewhere_does_not(
    host: MemoryHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = [
        {"name": "own", "type": "host", "host": {}},
        {"name": "hosts", "type": "host", "host": {"sourcePath": "/etc"}},
        {"name": "nfs", "type": "docker", "dockerVolumeConfiguration": {"scope": "task", "driver": "local"}},
    ]
    mounts = [{"sourceVolume": one["name"], "containerPath": f"/{one['name']}"} for one in volumes]
    (tmp_path / "file").write_bytes(b"x" * (3 << 20))
    asked: list[str] = []
    monkeypatch.setattr(host.runtime, "volume_path", lambda name: asked.append(name) or str(tmp_path))
    host.run("t1", container("a", "server", mountPoints=mounts), volumes=volumes, **FARGATE)
    watching = watch(host)
    watching.step()
    assert watching.used == {task_arn("t1"): 3}
    assert len(asked) == 1 and asked[0].endswith("own")


def test_its_bound_outlives_the_agent(host: MemoryHost) -> None:
    writing(host, 22)
    host.run("t1", container("a", "writer"), **FARGATE)
    host.restart()
    watch(host).step()
    host.tick(60)
    assert host.status("t1") is Phase.STOPPED


def test_tasks_without_a_bound_are_not_even_looked_at(host: MemoryHost) -> None:
    writing(host, 500)
    host.run("t1", container("a", "writer"))
    host.runtime.fail_next("written", Temporary("nobody is to ask"))
    assert watch(host).step() == LOOK_EVERY
    host.tick(60)
    assert host.status("t1") is Phase.RUNNING
    with pytest.raises(Temporary):
        host.runtime.written({})


def test_an_engine_that_does_not_answer_is_asked_again(host: MemoryHost) -> None:
    writing(host, 22)
    host.run("t1", container("a", "writer"), **FARGATE)
    host.runtime.fail_next("written", Temporary("away"))
    watching = watch(host)
    watching.step()
    host.tick(60)
    assert host.status("t1") is Phase.RUNNING
    watching.step()
    host.tick(60)
    assert host.status("t1") is Phase.STOPPED


def test_looking_that_takes_long_is_done_less_often(host: MemoryHost) -> None:
    host.run("t1", container("a", "server"), **FARGATE)
    times = iter([100.0, 110.0])
    assert watch(host, lambda: next(times)).step() == SHARE * timedelta(seconds=10)


def test_files_count_once_and_by_what_they_take_of_the_disk(tmp_path: Path) -> None:
    empty = size_of(str(tmp_path))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "full").write_bytes(b"x" * (1 << 20))
    os.link(tmp_path / "deep" / "full", tmp_path / "again")
    (tmp_path / "elsewhere").symlink_to("/")
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(1 << 30)
    assert 1 << 20 <= size_of(str(tmp_path)) - empty < 1 << 21
    assert size_of(str(tmp_path / "none")) == 0


@pytest.mark.parametrize("storage", [{"sizeInGiB": "many"}, {"sizeInGiB": -1}, [21]])
def test_a_bound_that_makes_no_sense_is_refused(storage: object) -> None:
    with pytest.raises(BadPayload, match="ephemeralStorage"):
        read_task(task("t1", container("a", "server"), ephemeralStorage=storage), seq=1, cluster=CLUSTER)
