"""Zones: where the tasks of services are that are kept even over availability zones, read only where it matters."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.loops.service_grounds import Grounds, Wish
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
    """The zones of one service, and of every host of its cluster."""

    zones: tuple[ZoneSeen, ...]
    hosts: Mapping[str, str]


def find_zones(session: Session, grounds: Grounds, candidates: Mapping[Key, Candidate]) -> dict[Key, Zoned]:
    """The zones of those of the services whose clusters have more than one, and all of whose tasks are in one."""
    everywhere = {one.cluster: grounds.find(session, one.cluster, Wish()) for one in candidates.values()}
    split = {
        key: one
        for key, one in candidates.items()
        if len({ground.zone for ground in everywhere[one.cluster].values() if ground.zone}) > 1
    }
    deployments = {row.id: key for key, one in split.items() for row in one.service.deployments}
    tasks: defaultdict[Key, Counter[str]] = defaultdict(Counter)
    for name, host, count in tally_by_host(session, deployments):
        key = deployments[name]
        ground = everywhere[split[key].cluster].get(host)
        tasks[key][ground.zone if ground else ""] += count
    found: dict[Key, Zoned] = {}
    for key, one in split.items():
        if tasks[key][""] or tasks[key].total() != count_tasks(one.service.tasks):
            continue
        usable = grounds.find(session, one.cluster, one.wish).values()
        open_zones = {ground.zone for ground in usable if ground.connected and ground.zone}
        found[key] = Zoned(
            zones=tuple(
                ZoneSeen(name=zone, tasks=tasks[key][zone], open=zone in open_zones)
                for zone in sorted(open_zones | {zone for zone, count in tasks[key].items() if count})
            ),
            hosts={host: ground.zone for host, ground in everywhere[one.cluster].items()},
        )
    return found
