"""Claims: what planned tasks take of their hosts, written together and guarded host by host.

A host that has changed since it was looked at may refuse; its tasks are then told apart from those that hold what
they were planned to hold, and nothing of theirs stays taken.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scheduler.placement import Demand
from state.addresses import release_addresses, take_addresses
from state.container_instances import hold_hosts
from state.devices import TakenAmount, TakenDevice, take_devices, take_resources
from state.reservations import Room, TakenPort, take_ports, take_room
from state.store import Session


class Claim(NamedTuple):
    """One task for one host; ``network`` is the host's, for tasks that need an address."""

    task_id: str
    host: str
    gpus: tuple[str, ...] = ()
    network: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The claims that hold, the tasks' addresses, and the hosts that refused."""

    held: Sequence[Claim]
    addresses: Mapping[str, str]
    refused: frozenset[str]


def claim(session: Session, claims: Sequence[Claim], demand: Demand) -> Claimed:
    """Take room, ports, devices and addresses for tasks that each demand the same."""
    # Of hosts and address pools every writer holds the hosts first.
    hold_hosts(session, {one.host for one in claims} if demand.address else ())
    addresses = _addresses(session, claims) if demand.address else {}
    asking = [one for one in claims if one.task_id in addresses] if demand.address else claims
    counts = Counter(one.host for one in asking)
    rooms = {host: Room(demand.cpu * count, demand.memory * count) for host, count in counts.items()}
    given = take_room(session, rooms)
    held = [one for one in asking if one.host in given] if len(given) < len(rooms) else asking
    if addresses and len(held) < len(asking):
        release_addresses(session, [one.task_id for one in asking if one.host not in given])
    take_ports(
        session, [TakenPort(one.host, port, protocol, one.task_id) for one in held for port, protocol in demand.ports]
    )
    take_devices(
        session,
        [
            TakenDevice(container_instance_id=one.host, device=device, task_id=one.task_id)
            for one in held
            for device in one.gpus
        ],
    )
    take_resources(
        session,
        [
            TakenAmount(container_instance_id=one.host, name=name, amount=amount, task_id=one.task_id)
            for one in held
            for name, amount in demand.resources
        ],
    )
    without = {one.host for one in claims if one.task_id not in addresses} if demand.address else set()
    return Claimed(held=held, addresses=addresses, refused=frozenset((rooms.keys() - given) | without))


def _addresses(session: Session, claims: Sequence[Claim]) -> dict[str, str]:
    by_network: defaultdict[str, list[str]] = defaultdict(list)
    for one in claims:
        by_network[one.network].append(one.task_id)
    found: dict[str, str] = {}
    for network, ids in sorted(by_network.items()):
        found |= take_addresses(session, network, ids)
    return found
