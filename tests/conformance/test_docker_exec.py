"""Commands with a terminal in containers of a real engine: how they end, and that none is left behind."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.runtime.docker import DockerRuntime
from agent.runtime.docker_exec import DockerExec
from tests.conformance.runtime_rigs import DockerRig
from tests.support.engine import Engine


@pytest.fixture
def rig(docker_engine: Engine, busybox_image: str) -> Iterator[DockerRig]:
    rig = DockerRig(docker_engine.host, busybox_image)
    yield rig
    docker_engine.remove(f"berth.test.contract={rig.run}")
    rig.runtime.close()


def engine(rig: DockerRig) -> Any:
    runtime = rig.runtime
    assert isinstance(runtime, DockerRuntime)
    return runtime._client()


def commands(rig: DockerRig, container: str) -> list[str]:
    """What runs in the container beside its own process."""
    found: list[list[str]] = engine(rig).top(container)["Processes"]
    return sorted(row[-1] for row in found if row[-1] != "sleep 600")


def test_a_commands_exit_code_is_told_once_its_terminal_ends(rig: DockerRig) -> None:
    container = rig.started("box", "sleep")
    for code in (0, 3, 130):
        stream = rig.runtime.execute(container, ["sh", "-c", f"printf '\\377 odd'; exit {code}"])
        seen = b""
        while piece := stream.read():
            seen += piece
        assert (seen, stream.exit_code()) == (b"\xff odd", code)
        stream.close()


def test_a_command_ends_with_its_stream(rig: DockerRig) -> None:
    container = rig.started("box", "sleep")
    stream = rig.runtime.execute(container, ["sleep", "601"])
    rig.until(lambda: commands(rig, container) == ["sleep 601"])
    stream.close()
    stream.close()
    rig.until(lambda: commands(rig, container) == [])


def test_where_processes_cannot_be_told_a_shell_is_left_as_by_a_person(rig: DockerRig, tmp_path: Path) -> None:
    """As in an agent that is a container: the engine's numbers of processes are other processes' here."""
    container = rig.started("box", "sleep")
    api = engine(rig)
    made = api.exec_create(container, ["sh"], stdin=True, tty=True)
    stream = DockerExec(api, made["Id"], container=container, local=True, proc=tmp_path)
    rig.until(lambda: commands(rig, container) == ["sh"])
    stream.close()
    rig.until(lambda: commands(rig, container) == [])


def test_what_a_killed_agent_left_is_ended_and_nothing_else(rig: DockerRig) -> None:
    container = rig.started("box", "sleep")
    api = engine(rig)
    others = api.exec_create(container, ["sleep", "602"], stdin=True, tty=True)
    api.exec_start(others["Id"], detach=True)
    left = rig.runtime.execute(container, ["sleep", "601"])
    assert isinstance(left, DockerExec)
    rig.until(lambda: commands(rig, container) == ["sleep 601", "sleep 602"])
    # All that a process that is killed does.
    left._socket.shutdown(socket.SHUT_RDWR)
    assert left.read() == b""
    assert commands(rig, container) == ["sleep 601", "sleep 602"], "the engine lets it run on"
    rig.runtime.end_executed(container)
    rig.until(lambda: commands(rig, container) == ["sleep 602"])
    left.close()
