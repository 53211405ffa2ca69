"""Logs, as every runtime driver gives them to read."""

import threading
from contextlib import closing

import pytest

from agent.runtime import LogLine, LogStream
from tests.conformance.runtime_rigs import DockerRig, Rig
from tests.support.engine import Engine


def read_log(rig: Rig, container: str, *, since: str = "", follow: bool = False) -> list[LogLine]:
    with closing(rig.runtime.logs(container, since=since, follow=follow, tty=False)) as log:
        return list(log)


def test_a_log_is_read_from_any_line_on(rig: Rig) -> None:
    container = rig.started("c", "talk")
    rig.wait_for_exit(container)
    lines = read_log(rig, container)
    assert [line.text for line in lines] == [b"one", b"two", b"three"]
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    again = read_log(rig, container, since=lines[1].at)
    assert [line.text for line in again] == [b"two", b"three"]


def test_following_a_log_ends_with_the_container(rig: Rig) -> None:
    container = rig.started("c", "talk")
    assert [line.text for line in read_log(rig, container, follow=True)] == [b"one", b"two", b"three"]


@pytest.mark.parametrize("tty", [False, True])
def test_a_log_that_is_followed_can_be_closed_from_another_thread(rig: Rig, tty: bool) -> None:
    container = rig.runtime.create(rig.name("c"), {**rig.body("sleep"), "Tty": tty})
    rig.runtime.start(container)
    for _ in range(5):
        log = rig.runtime.logs(container, since="", follow=True, tty=tty)
        ended: list[object] = []

        def read(log: LogStream = log, ended: list[object] = ended) -> None:
            try:
                ended.append(list(log))
            except Exception as error:
                ended.append(error)

        reading = threading.Thread(target=read)
        reading.start()
        rig.wait_a_moment()
        log.close()
        reading.join(10)
        assert ended == [[]]


@pytest.mark.docker
def test_a_terminals_log_and_a_very_long_line_are_read_whole(docker_engine: Engine, busybox_image: str) -> None:
    rig = DockerRig(docker_engine.host, busybox_image)
    script = "echo first; head -c 40000 /dev/zero | tr '\\0' x; echo; printf unfinished"
    for tty in (False, True):
        body = {**rig.body("sleep"), "Cmd": ["sh", "-c", script], "Tty": tty}
        container = rig.runtime.create(rig.name(f"tty-{tty}"), body)
        rig.runtime.start(container)
        rig.wait_for_exit(container)
        with closing(rig.runtime.logs(container, since="", follow=False, tty=tty)) as log:
            lines = [line.text for line in log]
        assert lines == [b"first", b"x" * 40000, b"unfinished"]
    docker_engine.remove(f"berth.test.contract={rig.run}")
    rig.runtime.close()
