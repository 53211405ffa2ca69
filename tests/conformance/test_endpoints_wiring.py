"""How containers reach their agent at 169.254.170.2: in every network mode, whatever else listens on port 80."""

import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from agent.endpoints import ADDRESS, netlink
from agent.endpoints.namespaces import inside, make_namespace, open_namespace
from agent.endpoints.wiring import DOOR, TASK_INTERFACE, NoWiring, Wiring
from tests.support.engine import Engine

# In the words of busybox, whose wget wants to know more of the network than there may be.
GET = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 5 {} 80 | tail -n 1"
ASK = GET.format(ADDRESS)


class Answering:
    """A wiring at whose listener somebody answers with a word of its own."""

    def __init__(self, word: str) -> None:
        self.wiring = Wiring()
        self._word = word.encode()
        self.wiring.listener.setblocking(True)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.wiring.listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self._word) + self._word)

    def close(self) -> None:
        # What waits in accept is woken, or the socket would live on with its namespace.
        with suppress(OSError):
            self.wiring.listener.shutdown(socket.SHUT_RDWR)
        self.wiring.close()


@contextmanager
def answering(word: str) -> Iterator[Answering]:
    with closing(Answering(word)) as found:
        yield found


@pytest.fixture
def run(docker_engine: Engine, busybox_image: str) -> Iterator[Callable[..., Any]]:
    """Starts a container; answers it with its process known."""
    made: list[Any] = []

    def start(*command: str, **options: Any) -> Any:
        container = docker_engine.client.containers.run(
            busybox_image, command or ["sleep", "600"], detach=True, labels=docker_engine.labels, **options
        )
        made.append(container)
        container.reload()
        return container

    yield start
    for container in made:
        container.remove(force=True)


def attach(wiring: Wiring, container: Any, name: str = "task main") -> None:
    container.reload()
    wiring.attach(container.attrs["State"]["Pid"], container.id, name)


def heard(container: Any, script: str = ASK) -> str:
    return str(container.exec_run(["sh", "-c", script]).output.decode().strip())


@pytest.mark.parametrize("mode", ["none", "bridge"])
def test_a_container_with_a_cable_of_its_own_reaches_the_agent(run: Callable[..., Any], mode: str) -> None:
    container = run(network_mode=mode)
    with answering("here") as agent:
        assert not agent.wiring.is_attached("task main")
        attach(agent.wiring, container)
        assert agent.wiring.is_attached("task main")
        assert heard(container) == "here"


def test_containers_of_one_namespace_reach_it_though_one_listens_on_port_80_itself(run: Callable[..., Any]) -> None:
    pause = run()
    with answering("agent") as agent:
        attach(agent.wiring, pause)
        web = run("httpd", "-f", "-p", "80", "-h", "/www", network_mode=f"container:{pause.id}")
        probe = run(network_mode=f"container:{pause.id}")
        assert heard(probe, GET.format("127.0.0.1")) == "hello from berth"
        assert heard(probe) == heard(web) == "agent"


def test_an_agent_is_no_way_from_one_task_to_another(run: Callable[..., Any]) -> None:
    container = run(network_mode="none")
    with answering("here") as agent:
        attach(agent.wiring, container)
        place = Path("/proc/sys/net/ipv4/conf/task2/forwarding")
        assert inside(agent.wiring._namespace, place.read_text) == "0\n"


def test_two_agents_of_a_machine_keep_to_their_own_tasks(run: Callable[..., Any]) -> None:
    mine, other = run(network_mode="none"), run(network_mode="none")
    with answering("one") as one, answering("two") as two:
        attach(one.wiring, mine)
        attach(two.wiring, other)
        assert (heard(mine), heard(other)) == ("one", "two")


def test_an_agent_that_comes_back_takes_its_tasks_over(run: Callable[..., Any]) -> None:
    container = run(network_mode="none")
    with answering("before") as before:
        attach(before.wiring, container)
        assert heard(container) == "before"
        # Whether the one before has gone already or is still going.
        with answering("after") as after:
            attach(after.wiring, container)
            assert heard(container) == "after"


def test_a_container_that_is_started_again_is_reached_again(run: Callable[..., Any]) -> None:
    container = run(network_mode="none")
    with answering("here") as agent:
        attach(agent.wiring, container)
        container.restart(timeout=0)
        assert heard(container) != "here"
        attach(agent.wiring, container)
        assert heard(container) == "here"
        attach(agent.wiring, container)
        assert heard(container) == "here", "asking twice changes nothing"


def test_nothing_is_left_when_the_agent_is_gone(run: Callable[..., Any]) -> None:
    container = run(network_mode="none")
    with answering("here") as agent:
        attach(agent.wiring, container)
        assert TASK_INTERFACE in heard(container, "ls /sys/class/net")
    for _ in range(200):
        if TASK_INTERFACE not in heard(container, "ls /sys/class/net"):
            return
    raise AssertionError("the cable outlives its agent")


def test_a_process_that_is_not_the_containers_is_left_alone(run: Callable[..., Any]) -> None:
    container = run()
    with answering("here") as agent, pytest.raises(ProcessLookupError, match="is not the container's"):
        agent.wiring.attach(os.getpid(), container.id, "task main")
    with pytest.raises(OSError):
        open_namespace(2**22 + 1, container.id)


def test_the_host_reaches_one_agent_and_the_next_once_that_is_gone() -> None:
    host = make_namespace()

    def ask() -> bytes:
        with socket.create_connection((ADDRESS, 80), timeout=10) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: connection.recv(4096), b"")).rpartition(b"\r\n\r\n")[2]

    with answering("second") as second:
        with answering("first") as first:
            assert first.wiring.open_door(lambda: os.dup(host))
            assert first.wiring.open_door(lambda: os.dup(host)), "once opened it stays open"
            assert not second.wiring.open_door(lambda: os.dup(host))
            assert inside(host, ask) == b"first"
        while DOOR in [name for _, name in inside(host, socket.if_nameindex)]:
            pass
        assert second.wiring.open_door(lambda: os.dup(host))
        assert inside(host, ask) == b"second"
    os.close(host)


def test_a_cable_that_would_be_a_way_to_others_is_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(name: str) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    host = make_namespace()
    with answering("agent") as agent:
        with monkeypatch.context() as patched:
            patched.setattr(netlink, "forbid_forwarding", refused)
            assert not agent.wiring.open_door(lambda: os.dup(host))
        assert [name for _, name in inside(host, socket.if_nameindex)] == ["lo"]
        assert agent.wiring.open_door(lambda: os.dup(host))
    os.close(host)


def test_an_agent_that_cannot_listen_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(name: str, address: str) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(netlink, "add_address", refused)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(NoWiring, match="not here"):
        Wiring()
    assert sorted(os.listdir("/proc/self/fd")) == before
