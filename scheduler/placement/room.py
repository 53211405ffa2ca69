"""Rooms: what is left of each host while one plan is being made.

A room only ever shrinks within a plan, so a host that once refused a shape of ask never takes it later in the
same plan; shortlists rely on that.
"""

from collections.abc import Iterable
from random import Random

from scheduler.placement.world import Ask, Host, Port


class Room:
    """The mutable remainder of one host. ``rank`` breaks ties by chance, the same way for the same seed."""

    __slots__ = ("addresses", "cpu", "groups", "host", "memory", "ports", "rank", "tasks")

    def __init__(self, host: Host, rank: int) -> None:
        self.host = host
        self.rank = rank
        self.cpu = host.free_cpu
        self.memory = host.free_memory
        self.ports: frozenset[Port] = host.ports
        self.tasks = host.tasks
        self.groups = dict(host.groups)
        self.addresses = host.free_addresses

    def take(self, ask: Ask) -> None:
        """Give the ask its share of the host."""
        self.cpu -= ask.cpu
        self.memory -= ask.memory
        self.tasks += 1
        self.groups[ask.group] = self.groups.get(ask.group, 0) + 1
        if ask.ports:
            self.ports = self.ports.union(ask.ports)
        if ask.address and self.addresses is not None:
            self.addresses -= 1


def open_rooms(hosts: Iterable[Host], rng: Random) -> list[Room]:
    """One room per host. Ranks are dealt over the sorted ids, so the order of ``hosts`` does not matter."""
    known = list(hosts)
    ids = sorted({host.id for host in known})
    if len(ids) != len(known):
        raise ValueError("two hosts have the same id")
    rng.shuffle(ids)
    ranks = {host_id: rank for rank, host_id in enumerate(ids)}
    return sorted((Room(host, ranks[host.id]) for host in known), key=lambda room: room.host.id)
