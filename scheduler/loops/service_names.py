"""Which tasks of services are read by name: the stopped ones to be judged, and those among which some must be chosen.

A service of few tasks is read whole when there is something to choose. Of a service of many, as many are read as can
be stopped at a time, and those first that would be stopped first; the loop looks again when they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from scheduler.rollout import ServiceSeen, count_tasks
from scheduler.rollout.census import is_leaving
from state.service_tasks import (
    Alike,
    list_alike,
    list_latest_healthy,
    list_most_crowded,
    list_newest,
    list_oldest,
    list_staying,
    list_unjudged,
    list_unstarted,
)
from state.store import Session

FEW = 1000
"""A service with more tasks is never read whole."""
BITE = 1000
"""So many tasks of such a service are offered for each reason to stop some."""
MOST_UNJUDGED = 5000
"""So many stopped tasks are judged at a look."""


@dataclass(frozen=True, slots=True)
class Named:
    """Rows of tasks; ``more`` says of which deployments some were left out that would be of use. ``witnesses`` are to
    be seen one by one and not to be chosen: others would be stopped before them."""

    rows: Sequence[Row[Any]]
    more: frozenset[str]
    witnesses: Sequence[Row[Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A service as counted, in which tasks may have to be chosen; ``checked`` are its deployments that declare health
    checks, ``kinds`` what is alike in it."""

    service: ServiceSeen
    kinds: Sequence[Alike]
    checked: frozenset[str]
    failing: bool
    """Tasks failed to start, so a healthy one must be found that forgives that."""
    chooses: bool
    crowded: frozenset[str] | None = None
    """The hosts of which some task is to be moved away from, where that is so."""

    @property
    def few(self) -> bool:
        return count_tasks(self.service.tasks) <= FEW or self.service.scheduling_strategy == "DAEMON"


def judge_unjudged(session: Session) -> Named:
    """The stopped tasks to be judged."""
    rows = list_unjudged(session, MOST_UNJUDGED)
    more = frozenset(row.deployment_id for row in rows) if len(rows) == MOST_UNJUDGED else frozenset()
    return Named(rows, more)


def name_tasks(session: Session, choices: Iterable[Choice], settled_by: datetime) -> Named:
    """Those of the services' tasks that must be known by name. ``settled_by`` is when a task without a health check
    must have started to count as healthy now."""
    whole: list[str] = []
    rows: list[Row[Any]] = []
    witnesses: list[Row[Any]] = []
    more: set[str] = set()
    for choice in choices:
        own = [deployment.id for deployment in choice.service.deployments]
        if choice.few:
            whole += own
            continue
        if choice.chooses:
            rows += _offer(session, choice, settled_by)
            more.update(own)
        if choice.failing:
            for name in own:
                checked = name in choice.checked
                witnesses += list_latest_healthy(session, name, checked=checked, before=settled_by)
    rows += list_staying(session, whole)
    found = {row.id: row for row in rows}
    return Named(list(found.values()), frozenset(more), [row for row in witnesses if row.id not in found])


def _offer(session: Session, choice: Choice, settled_by: datetime) -> list[Row[Any]]:
    """Tasks of a large service, those that would be stopped first among them."""
    service = choice.service
    names = [deployment.id for deployment in service.deployments]
    rows: list[Row[Any]] = []
    if service.status != "ACTIVE":
        for name in names:
            rows += [*list_unstarted(session, name, BITE), *list_oldest(session, name, BITE)]
        return rows
    for kind in choice.kinds:
        if kind.desired_status == "RUNNING" and (kind.draining or kind.health_status == "UNHEALTHY"):
            rows += list_alike(session, kind, BITE)
    primary = next(deployment for deployment in service.deployments if deployment.status == "PRIMARY")
    older = [name for name in names if name != primary.id and any(kind.deployment_id == name for kind in choice.kinds)]
    for name in older:
        rows += _unready(session, name, choice, settled_by, BITE)
        rows += list_oldest(session, name, BITE, free_by=settled_by)
    given_up = primary.rollout_state == "FAILED"
    shrinking = names if given_up else [primary.id]
    surplus = _staying(service, shrinking, healthy_only=not given_up) - service.desired
    if surplus > 0:
        for name in shrinking:
            rows += _unready(session, name, choice, settled_by, min(surplus, BITE))
            rows += list_most_crowded(session, name, min(surplus, BITE), free_by=settled_by)
            if choice.crowded is not None:
                rows += list_most_crowded(session, name, 1, free_by=settled_by, among=choice.crowded)
    return rows


def _unready(session: Session, name: str, choice: Choice, settled_by: datetime, limit: int) -> list[Row[Any]]:
    """Tasks that are not healthy yet: nothing is lost with them, so they go first."""
    rows = list(list_unstarted(session, name, limit))
    if name not in choice.checked:
        rows += list_newest(session, name, settled_by, limit)
    elif any(kind.deployment_id == name for kind in choice.kinds):
        rows += list_alike(session, Alike(name, "RUNNING", "RUNNING", "UNKNOWN", False), limit)
    return rows


def _staying(service: ServiceSeen, deployments: Sequence[str], *, healthy_only: bool) -> int:
    return count_tasks(
        task
        for task in service.tasks
        if task.deployment_id in deployments
        and not is_leaving(task)
        and not (healthy_only and (task.draining or task.healthy is False))
    )
