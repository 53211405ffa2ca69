"""The API's listening socket: who acknowledges nothing is not waited for until the kernel gives up by itself."""

import socket

import pytest

from orchestrator.cli.output import CommandFailed
from orchestrator.cli.serve import PING_SECONDS, listen, listen_for_api


def test_connections_of_the_api_end_when_nothing_is_acknowledged() -> None:
    with listen_for_api("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2 * PING_SECONDS * 1000


def test_a_taken_port_is_told() -> None:
    with listen("127.0.0.1", 0, "registry") as taken, pytest.raises(CommandFailed, match="choose another port"):
        listen_for_api("127.0.0.1", taken.getsockname()[1])
