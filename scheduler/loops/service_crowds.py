"""Crowds: tasks seen as one with a count, and what is left of them when some are seen by name."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from scheduler.rollout import TaskSeen
from state.base import EPOCH
from state.service_tasks import Alike, Settling, count_settling, leaving_by_host
from state.store import Session

# Ends that nobody asked for.
OWN_ENDS = (None, "EssentialContainerExited", "TaskFailedToStart")
_HEALTH = {"HEALTHY": True, "UNHEALTHY": False}
_NONE = Settling(0, None)


class Crowds:
    """The tasks of one look, by deployment.

    ``kinds`` are how many are alike, ``checked`` the deployments that declare health checks; a task of another one
    that started by ``settled_by`` counts as healthy. What is named later is taken out of its crowd.
    """

    def __init__(self, kinds: Mapping[Alike, int], *, checked: Collection[str], now: datetime, settled_by: datetime):
        self.checked = checked
        self._now = now
        self._settled_by = settled_by
        self._kinds: defaultdict[str, dict[Alike, int]] = defaultdict(dict)
        for kind, count in kinds.items():
            if count:
                self._kinds[kind.deployment_id][kind] = count
        self._named: defaultdict[str, list[TaskSeen]] = defaultdict(list)
        self._names: Counter[Alike] = Counter()
        self._named_settling: Counter[str] = Counter()
        self._settling: dict[str, Settling] = {}
        self.zones: Mapping[str, str] = {}
        """The availability zones of hosts, as far as they matter."""

    def kinds(self, deployment: str) -> Sequence[Alike]:
        """What there is of the deployment's tasks."""
        return tuple(self._kinds[deployment])

    def name(self, rows: Iterable[Row[Any]], *, to_choose: bool = True) -> None:
        """See these tasks one by one, and by name where they are ``to_choose`` among. Each is given once."""
        for row in rows:
            self._named[row.deployment_id].append(replace(self._task(row), named=to_choose))
            if row.last_status == "STOPPED":
                continue
            draining = row.host_status == "DRAINING"
            kind = Alike(row.deployment_id, row.last_status, row.desired_status, row.health_status, draining)
            self._names[kind] += 1
            if self._may_settle(kind) and row.started_at is not None and row.started_at > self._settled_by:
                self._named_settling[row.deployment_id] += 1

    def place_leaving(self, session: Session, deployments: Collection[str]) -> None:
        """See on which hosts the tasks are that these deployments' hosts have been told to stop."""
        for name in deployments:
            self._kinds[name] = {
                kind: count for kind, count in self._kinds[name].items() if kind.desired_status == "RUNNING"
            }
        for name, host, count in leaving_by_host(session, deployments):
            self._named[name].append(
                TaskSeen(
                    id=f"{name}/{host}",
                    deployment_id=name,
                    last_status="RUNNING",
                    desired_status="STOPPED",
                    created_at=EPOCH,
                    host=host or None,
                    count=count,
                    named=False,
                )
            )

    def settle(self, session: Session) -> None:
        """Find out how many of those that are not named have not run long enough to count as healthy."""
        asked: dict[bool, list[str]] = {False: [], True: []}
        for name, kinds in self._kinds.items():
            if any(self._may_settle(kind) and count > self._names[kind] for kind, count in kinds.items()):
                mixed = any(kind.health_status != "UNKNOWN" and kind.desired_status == "RUNNING" for kind in kinds)
                asked[mixed].append(name)
        for mixed, names in asked.items():
            self._settling |= count_settling(session, names, self._settled_by, health=mixed)

    def seen(self, deployments: Iterable[str]) -> tuple[TaskSeen, ...]:
        """The deployments' tasks: those named, and the crowds that are left."""
        return tuple(task for name in deployments for task in (*self._named.get(name, ()), *self._crowds(name)))

    def _crowds(self, name: str) -> Iterator[TaskSeen]:
        settling = self._settling.get(name, _NONE)
        unsettled = settling.tasks - self._named_settling[name]
        for kind, count in sorted(self._kinds.get(name, {}).items()):
            left = count - self._names[kind]
            if left <= 0:
                continue
            young = max(0, min(left, unsettled)) if self._may_settle(kind) else 0
            if young:
                unsettled -= young
                yield self._crowd(kind, young, started_at=settling.first_at)
            if left > young:
                # Of sick ones nobody knows since when: the next look names them.
                sick = kind.health_status == "UNHEALTHY"
                yield self._crowd(kind, left - young, started_at=self._now if sick else EPOCH)

    def _crowd(self, kind: Alike, count: int, *, started_at: datetime | None) -> TaskSeen:
        settled = "" if started_at == EPOCH else "/settling"
        return TaskSeen(
            id=f"{kind.deployment_id}/{kind.last_status}/{kind.desired_status}/{kind.health_status}/{kind.draining}{settled}",
            deployment_id=kind.deployment_id,
            last_status=kind.last_status,
            desired_status=kind.desired_status,
            healthy=_HEALTH.get(kind.health_status),
            checked=kind.deployment_id in self.checked,
            created_at=EPOCH,
            started_at=started_at if kind.last_status == "RUNNING" else None,
            draining=kind.draining,
            count=count,
            named=False,
        )

    def _task(self, row: Row[Any]) -> TaskSeen:
        # Every stopped task is wanted STOPPED in the end; what counts is whether anyone asked for it.
        own_end = row.last_status == "STOPPED" and row.stop_code in OWN_ENDS
        return TaskSeen(
            id=row.id,
            deployment_id=row.deployment_id,
            last_status=row.last_status,
            desired_status="RUNNING" if own_end else row.desired_status,
            healthy=_HEALTH.get(row.health_status),
            checked=row.deployment_id in self.checked,
            created_at=row.created_at,
            started_at=row.started_at,
            stopped_at=row.stopped_at,
            host=row.container_instance_id,
            zone=self.zones.get(row.container_instance_id or ""),
            draining=row.host_status == "DRAINING",
            protected=row.protected_until is not None and row.protected_until > self._now,
        )

    def _may_settle(self, kind: Alike) -> bool:
        return kind.deployment_id not in self.checked and (
            kind.last_status,
            kind.desired_status,
            kind.health_status,
        ) == ("RUNNING", "RUNNING", "UNKNOWN")
