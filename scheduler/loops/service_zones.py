"""Zones: where the tasks of services are that are kept even over availability zones, read only where it matters."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.loops.service_grounds import Ground, Grounds, Wish
from scheduler.rollout import ServiceSeen, ZoneSeen, count_tasks
from state.service_tasks import tally_by_host
from state.store import Session

Key = tuple[str, str]
"""A service's cluster and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A service whose tasks may have to be moved, and what a host must have for them."""

    cluster: str
    wish: Wish
    service: ServiceSeen


@dataclass(frozen=True, slots=True, kw_only=True)
class Zoned:
    """The zones of services, and of every host of their clusters."""

    services: Mapping[Key, tuple[ZoneSeen, ...]]
    hosts: Mapping[str, str]


def find_zones(session: Session, grounds: Grounds, candidates: Mapping[Key, Candidate]) -> Zoned:
    """The zones of those of the services whose clusters have more than one, and all of whose tasks are in one."""
    marks = {cluster: grounds.marks(session, cluster) for cluster in {one.cluster for one in candidates.values()}}
    everywhere = {cluster: grounds.find(session, cluster, Wish(), own) for cluster, own in marks.items()}
    zones = {cluster: {host: ground.zone for host, ground in own.items()} for cluster, own in everywhere.items()}
    split = {key: one for key, one in candidates.items() if len(set(zones[one.cluster].values()) - {""}) > 1}
    # Many services wish for the same.
    usable = {
        (cluster, wish): _open_zones(grounds.find(session, cluster, wish, marks[cluster]))
        for cluster, wish in {(one.cluster, one.wish) for one in split.values()}
    }
    deployments = {row.id: key for key, one in split.items() for row in one.service.deployments}
    tasks: defaultdict[Key, Counter[str]] = defaultdict(Counter)
    for name, host, count in tally_by_host(session, deployments):
        key = deployments[name]
        tasks[key][zones[split[key].cluster].get(host, "")] += count
    found: dict[Key, tuple[ZoneSeen, ...]] = {}
    for key, one in split.items():
        if tasks[key][""] or tasks[key].total() != count_tasks(one.service.tasks):
            continue
        open_zones = usable[one.cluster, one.wish]
        found[key] = tuple(
            ZoneSeen(name=zone, tasks=tasks[key][zone], open=zone in open_zones)
            for zone in sorted(open_zones | {zone for zone, count in tasks[key].items() if count})
        )
    clusters = {cluster for cluster, _ in usable} if found else ()
    return Zoned(services=found, hosts={host: zone for cluster in clusters for host, zone in zones[cluster].items()})


def _open_zones(hosts: Mapping[str, Ground]) -> frozenset[str]:
    return frozenset(ground.zone for ground in hosts.values() if ground.connected and ground.zone)
