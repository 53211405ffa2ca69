"""Host ports for ranges of container ports: as many free ones in a row, picked by the agent as the ECS agent does.

What is free is only known once the engine has bound it, so a pick is a good guess: whoever finds it taken picks again.
"""

import random
import socket
import threading
from collections.abc import Callable, Collection
from pathlib import Path

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Docker's own range where the kernel tells none.
FIRST, LAST = 49153, 65535
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}

Probe = Callable[[int, str], bool]


class NoPortsInARow(Exception):
    """The host has no free ports in a row, as many as asked for."""


class HostPorts:
    """Picks from ``first`` to ``last`` but never from ``reserved``; ``probe`` says whether a port seems free."""

    def __init__(
        self,
        *,
        first: int = FIRST,
        last: int = LAST,
        reserved: Collection[int] = (),
        probe: Probe = lambda port, protocol: True,
        seed: int | None = None,
    ) -> None:
        self._first, self._last = first, last
        self._reserved = frozenset(reserved)
        self._probe = probe
        self._rng = random.Random(seed)  # noqa: S311 (two agents on one engine should just seldom pick alike)
        self._lock = threading.Lock()

    def pick(self, count: int, protocol: str) -> int:
        """The first of ``count`` free ports in a row, from anywhere in the range. Raises NoPortsInARow."""
        starts = self._last - self._first + 2 - count
        if starts > 0:
            with self._lock:
                begin = self._rng.randrange(starts)
            for low, high in ((begin, starts), (0, begin)):
                port = self._search(self._first + low, self._first + high, count, protocol)
                if port is not None:
                    return port
        raise NoPortsInARow(f"no {count} free host ports in a row between {self._first} and {self._last}")

    def _search(self, start: int, end: int, count: int, protocol: str) -> int | None:
        """The first start in ``[start, end)`` after which all are free; a taken port is jumped over."""
        while start < end:
            taken = next((p for p in range(start + count - 1, start - 1, -1) if not self._free(p, protocol)), None)
            if taken is None:
                return start
            start = taken + 1
        return None

    def _free(self, port: int, protocol: str) -> bool:
        return port not in self._reserved and self._probe(port, protocol)


def local_ports(reserved: Collection[int] = ()) -> HostPorts:
    """Ports of this machine: from the kernel's ephemeral range, each tried before it is picked."""
    try:
        first, last = (int(word) for word in EPHEMERAL.read_text().split())
    except (OSError, ValueError):
        first, last = FIRST, LAST
    return HostPorts(first=first, last=last, reserved=reserved, probe=can_bind)


def can_bind(port: int, protocol: str) -> bool:
    """Whether nobody on this machine has the port."""
    with socket.socket(socket.AF_INET, KINDS[protocol]) as tried:
        try:
            tried.bind(("", port))
        except OSError:
            return False
        return True
