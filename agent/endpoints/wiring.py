"""The wiring: how containers reach the agent at 169.254.170.2, whatever else they or the host listen on.

The agent listens in a network namespace of its own, where nobody else wants port 80, and lays virtual cables from
there: one to the host (the *door*, for containers in ``host`` and ``bridge`` mode; one agent of a machine can have
it), and one into each namespace that has no other way. The namespace ends with the agent, and the cables with either
end, so nothing is left behind, whatever happens.
"""

import errno
import os
import socket
import threading
from collections.abc import Callable
from functools import partial

from agent.endpoints import ADDRESS, netlink
from agent.endpoints.namespaces import inside, make_namespace, open_host_namespace, open_namespace
from agent.log import facts

PORT = 80
DOOR, DOOR_ADDRESS = "berth-door", "169.254.170.1"
# What ECS's own agent uses for the same: addresses of tasks' ends.
TASK_INTERFACE = "ecs-eth0"
TASK_ADDRESSES = "169.254.{}.{}"
FIRST_NUMBER, LAST_NUMBER = 2, 1021
BACKLOG = 128

log = facts(__name__)


class NoWiring(Exception):
    """This agent cannot be reached at 169.254.170.2; the text says why and what to do."""


class Wiring:
    """One agent's namespace and the cables from it. Safe on any thread."""

    def __init__(self) -> None:
        """Raises NoWiring."""
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._laid: set[str] = set()
        self.has_door = False
        self._trouble = ""
        try:
            self._namespace = make_namespace()
            try:
                self.listener = inside(self._namespace, _listen)
            except OSError:
                os.close(self._namespace)
                raise
        except OSError as error:
            raise NoWiring(
                f"no network namespace can be made ({error.strerror or error}): run the agent as root"
                " with the capabilities SYS_ADMIN, NET_ADMIN, NET_BIND_SERVICE and SYS_PTRACE"
            ) from error

    def open_door(self, find_host: Callable[[], int] = open_host_namespace) -> bool:
        """Be reachable from the host, unless another agent of it is; say whether this one is."""
        if not self.has_door:
            try:
                host = find_host()
                try:
                    self._lay_door(host)
                finally:
                    os.close(host)
                self.has_door = True
                log.info("endpoints reachable from the host", address=ADDRESS)
            except OSError as error:
                # Said once, though it is tried again and again.
                if error.errno != errno.EEXIST and str(error) != self._trouble:
                    self._trouble = str(error)
                    log.warning("endpoints not reachable from the host", because=self._trouble)
        return self.has_door

    def attach(self, pid: int, runtime_id: str, name: str) -> None:
        """Be reachable inside the network namespace of a container, known by ``name``. Raises OSError."""
        namespace = open_namespace(pid, runtime_id)
        try:
            number = self._number(name)
            if not (self.is_attached(name) and self._is_laid(namespace, number)):
                self._lay(namespace, number)
            with self._lock:
                self._laid.add(name)
        finally:
            os.close(namespace)

    def is_attached(self, name: str) -> bool:
        with self._lock:
            return name in self._laid

    def detach(self, name: str) -> None:
        """The container is gone, and its cable with it."""
        with self._lock:
            self._laid.discard(name)
            self._numbers.pop(name, None)

    def close(self) -> None:
        self.listener.close()
        os.close(self._namespace)

    def _number(self, name: str) -> int:
        """The number of the cable of that name, which keeps it until it is detached."""
        with self._lock:
            if name not in self._numbers:
                taken = set(self._numbers.values())
                number = next((n for n in range(FIRST_NUMBER, LAST_NUMBER + 1) if n not in taken), None)
                if number is None:
                    raise OSError(errno.ENOSPC, "no more tasks can reach the agent's endpoints")
                self._numbers[name] = number
            return self._numbers[name]

    def _is_laid(self, namespace: int, number: int) -> bool:
        """Whether both ends of the cable are there: a container that was started again has a namespace without."""
        ends = ((namespace, TASK_INTERFACE), (self._namespace, f"task{number}"))
        return all(end in [name for _, name in inside(place, socket.if_nameindex)] for place, end in ends)

    def _lay_door(self, host: int) -> None:
        inside(self._namespace, partial(_lay_cable, "door", DOOR, host))

        def at_the_host() -> None:
            netlink.add_address(DOOR, DOOR_ADDRESS)
            netlink.set_up(DOOR)
            netlink.add_route(ADDRESS, DOOR, source=DOOR_ADDRESS)

        try:
            inside(host, at_the_host)
            inside(self._namespace, _finish_door)
        except OSError:
            inside(self._namespace, partial(netlink.delete_link, "door"))
            raise

    def _lay(self, namespace: int, number: int) -> None:
        name, address = f"task{number}", TASK_ADDRESSES.format(172 + number // 256, number % 256)

        def in_the_task() -> None:
            netlink.set_up("lo")
            netlink.add_address(TASK_INTERFACE, address)
            netlink.set_up(TASK_INTERFACE)
            netlink.add_route(ADDRESS, TASK_INTERFACE, source=address)

        def here() -> None:
            netlink.set_up(name)
            netlink.add_route(address, name)

        try:
            inside(self._namespace, partial(_lay_cable, name, TASK_INTERFACE, namespace))
        except FileExistsError:
            # What an agent before this one has left, if that is not gone by itself yet.
            _ignoring_absence(lambda: inside(namespace, partial(netlink.delete_link, TASK_INTERFACE)))
            _ignoring_absence(lambda: inside(self._namespace, partial(netlink.delete_link, name)))
            inside(self._namespace, partial(_lay_cable, name, TASK_INTERFACE, namespace))
        inside(self._namespace, here)
        inside(namespace, in_the_task)


def _listen() -> socket.socket:
    netlink.set_up("lo")
    netlink.add_address("lo", ADDRESS)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.bind((ADDRESS, PORT))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _lay_cable(name: str, other: str, namespace: int) -> None:
    netlink.add_veth(name, other, namespace)
    try:
        # The agent is no way from one task to another, or to the host.
        netlink.forbid_forwarding(name)
    except OSError:
        netlink.delete_link(name)
        raise


def _finish_door() -> None:
    netlink.set_up("door")
    netlink.add_route(DOOR_ADDRESS, "door")
    netlink.add_default_route(DOOR_ADDRESS, "door")


def _ignoring_absence(work: Callable[[], None]) -> None:
    try:
        work()
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
