"""Silence: connections to a control plane that is gone without a word, as after a power cut, end within seconds.

It is the kernel that notices; left alone it would wait for a quarter of an hour, or for ever.
"""

import socket

# Whoever does not even take a connection within that is not there.
CONNECT_S = 5
# Berth's control plane is heard every 3 seconds on a socket; another one is asked by the kernel.
QUIET_S, PROBE_S, PROBES = 4, 2, 2
UNANSWERED_MS = 6_000


def notice_unanswered(connection: socket.socket) -> None:
    """End the connection when what was sent is not acknowledged for some seconds."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)


def notice_silence(connection: socket.socket) -> None:
    """End the connection also when nothing was sent, and the other end is not there any more."""
    notice_unanswered(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, QUIET_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
