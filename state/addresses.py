"""Addresses of ``awsvpc`` networks: which task holds which, and the lowest that is free.

A pool counts what is taken of its network and remembers below which place nothing is free, so neither asking nor
giving costs more for the tasks that have addresses already.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import islice

from sqlalchemy import Insert, String, bindparam, case, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base, some

# Places looked at in one query.
STRIDE = 256


class NetworkAddress(Base):
    """One address of an ``awsvpc`` network taken by one task."""

    __tablename__ = "network_addresses"

    network: Mapped[str] = mapped_column(String(50), primary_key=True)
    address: Mapped[str] = mapped_column(String(50), primary_key=True)
    task_id: Mapped[str] = mapped_column(String(36), index=True)


class AddressPool(Base):
    """What is taken of one network. ``lowest`` is a place in it: every address before is taken."""

    __tablename__ = "address_pools"

    network: Mapped[str] = mapped_column(String(50), primary_key=True)
    taken: Mapped[int] = mapped_column(default=0)
    lowest: Mapped[int] = mapped_column(default=0)


class NoAddressLeft(Exception):
    """The ``awsvpc`` network has no address left to give."""


def count_addresses(network: str) -> int:
    """How many addresses of ``network`` can be given to tasks: all but the network's, the gateway's and broadcast."""
    return max(ipaddress.ip_network(network).num_addresses - 3, 0)


def addresses_left(session: Session, networks: Collection[str]) -> Mapping[str, int]:
    """How many addresses each network has left."""
    taken: dict[str, int] = {}
    for names in some(sorted(networks)):
        rows = select(AddressPool.network, AddressPool.taken).where(AddressPool.network.in_(names))
        taken |= dict(session.execute(rows).all())
    return {network: count_addresses(network) - taken.get(network, 0) for network in networks}


def take_addresses(session: Session, network: str, task_ids: Sequence[str]) -> dict[str, str]:
    """The lowest free addresses of ``network`` (a CIDR; network, gateway and broadcast are left out), by task.

    A task asking again gets the address it has. When the network runs out, the last tasks get none.
    """
    rows = select(NetworkAddress.task_id, NetworkAddress.address)
    given: dict[str, str] = {}
    for ids in some(task_ids):
        had = session.execute(rows.where(NetworkAddress.network == network, NetworkAddress.task_id.in_(ids)))
        given |= dict(had.all())
    asking = [task_id for task_id in task_ids if task_id not in given]
    if not asking:
        return given
    connection = session.connection()
    connection.execute(_open_pool(connection.dialect.name), {"network": network, "taken": 0, "lowest": 0})
    lowest = session.execute(
        select(AddressPool.lowest).where(AddressPool.network == network).with_for_update()
    ).scalar_one()
    places = _free_places(session, network, lowest, len(asking))
    if not places:
        return given
    news = {task_id: _address(network, place) for task_id, place in zip(asking, places, strict=False)}
    session.execute(
        insert(NetworkAddress),
        [{"network": network, "address": address, "task_id": task_id} for task_id, address in news.items()],
    )
    session.execute(
        update(AddressPool)
        .where(AddressPool.network == network)
        .values(taken=AddressPool.taken + len(news), lowest=places[-1] + 1)
        .execution_options(synchronize_session=False)
    )
    return given | news


_FREE = (
    delete(NetworkAddress)
    .where(NetworkAddress.task_id.in_(bindparam("ids", expanding=True)))
    .returning(NetworkAddress.network, NetworkAddress.address)
)


def release_addresses(session: Session, task_ids: Collection[str]) -> None:
    """Give back the addresses of tasks that have ended; one that has none gives nothing back."""
    freed: defaultdict[str, list[int]] = defaultdict(list)
    for ids in some(sorted(task_ids)):
        for network, address in session.connection().execute(_FREE, {"ids": ids}):
            freed[network].append(_place(network, address))
    for network, places in sorted(freed.items()):
        first = min(places)
        session.execute(
            update(AddressPool)
            .where(AddressPool.network == network)
            .values(
                taken=AddressPool.taken - len(places),
                lowest=case((AddressPool.lowest > first, first), else_=AddressPool.lowest),
            )
            .execution_options(synchronize_session=False)
        )


def _free_places(session: Session, network: str, lowest: int, count: int) -> Sequence[int]:
    """The first ``count`` free places from ``lowest`` on, or as many as there are."""
    found: list[int] = []
    end = count_addresses(network)
    for start in range(lowest, end, STRIDE):
        addresses = {_address(network, place): place for place in range(start, min(start + STRIDE, end))}
        taken = set(
            session.scalars(
                select(NetworkAddress.address).where(
                    NetworkAddress.network == network, NetworkAddress.address.in_(addresses)
                )
            )
        )
        free: Iterable[int] = (place for address, place in addresses.items() if address not in taken)
        found.extend(islice(free, count - len(found)))
        if len(found) == count:
            break
    return found


def _address(network: str, place: int) -> str:
    """The address at a place: the first behind the gateway's is at 0."""
    return str(ipaddress.ip_network(network).network_address + 2 + place)


def _place(network: str, address: str) -> int:
    return int(ipaddress.ip_address(address)) - int(ipaddress.ip_network(network).network_address) - 2


@cache
def _open_pool(dialect: str) -> Insert:
    insertion = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insertion(AddressPool).on_conflict_do_nothing(index_elements=[AddressPool.network])
