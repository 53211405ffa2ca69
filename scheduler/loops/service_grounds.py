"""Grounds: the hosts that a service's tasks may run on by what lasts, whatever room they have.

An answer for a host is kept until the host's mark changes, so a look at a cluster that stands still costs one narrow
query, and one at a busy cluster the hosts that have changed.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from scheduler.fleets import Fleets
from scheduler.loops.daemon_hosts import DaemonHosts
from scheduler.placement import Host
from scheduler.placement.query import BadQuery, Query, parse
from state.container_instances import ContainerInstance
from state.store import Session

ZONE = "ecs.availability-zone"
# So many clusters and wishes are remembered at a time.
MOST_KNOWN = 256


@dataclass(frozen=True, slots=True)
class Wish:
    """What a host must have: attributes (with a value where one is wanted), and to be what expressions name."""

    attributes: tuple[tuple[str, str | None], ...] = ()
    expressions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A host that has what is wished."""

    connected: bool
    zone: str


class Grounds:
    """What one process remembers of hosts and wishes."""

    def __init__(self, fleets: Fleets) -> None:
        self.daemons = DaemonHosts()
        self._fleets = fleets
        self._known: OrderedDict[tuple[str, Wish], dict[str, tuple[int, Ground | None]]] = OrderedDict()

    def marks(self, session: Session, cluster: str) -> Mapping[str, int]:
        """The marks of the cluster's ACTIVE hosts."""
        return dict(
            session.execute(
                select(ContainerInstance.id, ContainerInstance.revision).where(
                    ContainerInstance.cluster == cluster,
                    ContainerInstance.status == "ACTIVE",
                    ContainerInstance.shared,
                )
            ).all()
        )

    def find(self, session: Session, cluster: str, wish: Wish, marks: Mapping[str, int]) -> Mapping[str, Ground]:
        """The hosts of these marks that have what is wished, by id."""
        known = self._known.setdefault((cluster, wish), {})
        self._known.move_to_end((cluster, wish))
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        for gone in known.keys() - marks.keys():
            del known[gone]
        changed = [host for host, mark in marks.items() if host not in known or known[host][0] != mark]
        if changed:
            queries = read_queries(wish.expressions)
            with self._fleets.view(session, cluster, addresses=False) as view:
                for host in changed:
                    known[host] = marks[host], _ground(view.fleet.host(host), wish, queries)
        return {host: ground for host, (_, ground) in known.items() if ground is not None}


def read_queries(expressions: Iterable[str]) -> list[Query]:
    """The expressions that name hosts by what lasts: not those that tasks themselves make true or false."""
    found = []
    for expression in expressions:
        try:
            query = parse(expression)
        except BadQuery:
            # It was read when it was taken in; should that ever change, placement itself says what is wrong.
            continue
        if not query.volatile:
            found.append(query)
    return found


def _ground(host: Host, wish: Wish, queries: Iterable[Query]) -> Ground | None:
    own = host.attributes
    if not all(name in own and (value is None or own[name] == value) for name, value in wish.attributes):
        return None
    if not all(query.matches(host) for query in queries):
        return None
    return Ground(connected=host.connected, zone=own.get(ZONE) or "")
