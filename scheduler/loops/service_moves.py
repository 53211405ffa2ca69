"""Carrying out what was decided for one service, inside one transaction: tasks, deployments, events."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import update

from kit.settings import Settings
from scheduler.capacity_split import split
from scheduler.ending import hold_for_stop, stop_tasks
from scheduler.fleets import Fleets
from scheduler.launch import Launch, launch_on, launch_tasks
from scheduler.placement import Refused, Why
from scheduler.placement.strategies import AVAILABILITY_ZONE
from scheduler.rollout import DeploymentSeen, RolloutPlan, ServiceSeen, StartTasks, StopTask, TaskSeen, decide, events
from state.base import some
from state.clusters import lock_cluster
from state.container_instances import hold_fleets
from state.services import Deployment, Service, list_deployments, tell
from state.store import Session
from state.task_counts import tally_providers
from state.task_definitions import TaskDefinition, get_task_definition
from state.tasks import Task, hold_tasks, list_tasks

STOP_CODE = "ServiceSchedulerInitiated"
# Refusals that the end of another task of the service can turn.
FREED_BY_STOPS = frozenset({Why.MEMORY, Why.CPU, Why.GPUS, Why.RESOURCE, Why.PORTS, Why.ADDRESSES, Why.DISTINCT})
# So many tasks are started in one transaction: others have their turn before the next.
MOST_STARTED = 10_000
_PASSING = re.compile(rf"\(container-instance [^)]*\)|{events.WHY}.*")


@dataclass(slots=True)
class Begun:
    """The tasks that were started; how many were not, and why; how many have yet to have their turn."""

    ids: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    missing: int = 0
    waiting: int = 0


def carry_out(
    session: Session,
    service: Service,
    seen: ServiceSeen,
    plan: RolloutPlan,
    *,
    judged: Sequence[str],
    recounted: Sequence[DeploymentSeen],
    at: datetime,
    now: datetime,
    seed: int,
    settings: Settings,
    fleets: Fleets | None = None,
) -> Begun:
    """Write the plan, of many starts the first MOST_STARTED. ``service`` is the row, held by this transaction, in the
    version that was ``seen`` ``at`` that instant."""
    deployments = {row.id: row for row in list_deployments(session, service.cluster, service.name)}
    service.touch()
    _judge(session, judged)
    for counted in recounted:
        deployments[counted.id].failed_tasks = counted.failed_tasks
        deployments[counted.id].last_failure_at = counted.last_failure_at
        deployments[counted.id].updated_at = now
    messages = list(plan.events)
    _hold(session, service, plan)
    _stop(session, plan.stop, now)
    _move_deployments(service, deployments, plan, now)
    begun = Begun()
    for start in plan.start:
        deployment = deployments[start.deployment_id]
        _start(session, service, deployment, start, begun, now=now, seed=seed, settings=settings, fleets=fleets)
    zone = next((start.zone for start in plan.start if start.zone), None)
    if begun.ids and zone:
        messages.append(events.started_to_rebalance(service.name, zone, begun.ids))
    elif begun.ids:
        messages.append(events.started(service.name, begun.ids))
    if service.scheduling_strategy == "DAEMON" and service.status == "ACTIVE":
        _count_daemons(service, deployments.values(), seen.desired, now)
    if plan.steady != (service.steady_at is not None):
        service.steady_at = now if plan.steady else None
    if plan.drained:
        for row in deployments.values():
            row.status, row.updated_at = "INACTIVE", now
        service.advance("INACTIVE", at=now, because="the service has been deleted and its last task has stopped")
    tell(session, service, messages, at=now)
    return begun


def answer_refusals(
    session: Session,
    service: Service,
    seen: ServiceSeen,
    plan: RolloutPlan,
    begun: Begun,
    *,
    at: datetime,
    now: datetime,
) -> None:
    """Some of the plan's starts were refused: say so, and have older tasks make room where that is allowed.

    Apart from the starts, in a transaction of its own: those hold hosts and counts, which come after the tasks that
    are held here. ``service`` is the row, held, in the version in which ``carry_out`` left it.
    """
    zone = plan.start[0].zone
    if zone:
        # Nothing is wrong with the service: it said that it began, and now says what that waits for.
        messages = []
        unable = events.no_room_to_rebalance(service.name, zone, begun.refused[0].text())
    else:
        messages = _make_room(session, seen, plan, begun, at=at, now=now)
        unable = _unable_to_place(service, begun.refused)
    tell(session, service, [*messages, *_unless_said(service, messages, unable)], at=now)


def _hold(session: Session, service: Service, plan: RolloutPlan) -> None:
    """Hold first what two parts of the plan hold: of the cluster, tasks and hosts, starting holds the first and the
    last, stopping the others."""
    if plan.start and plan.stop:
        lock_cluster(session, service.cluster)
        hold_tasks(session, [stop.id for stop in plan.stop])
        hold_fleets(session, [service.cluster])


def _judge(session: Session, tasks: Sequence[str]) -> None:
    if tasks:
        # Not through the entity: the row's other writers need not know.
        session.execute(
            update(Task).where(Task.id.in_(tasks)).values(judged=True).execution_options(synchronize_session=False)
        )


def _stop(session: Session, stops: Iterable[StopTask], now: datetime) -> None:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for stop in stops:
        by_reason[stop.reason].append(stop.id)
    wanted = [task_id for ids in by_reason.values() for task_id in ids]
    tasks = {task.id: task for few in some(wanted) for task in list_tasks(session, few)}
    hold_for_stop(session, tasks.values())
    for reason, ids in by_reason.items():
        stopping = [tasks[task_id] for task_id in ids if task_id in tasks]
        stop_tasks(session, stopping, now=now, code=STOP_CODE, because=reason)


def _move_deployments(
    service: Service, deployments: Mapping[str, Deployment], plan: RolloutPlan, now: datetime
) -> None:
    for name in plan.completed:
        _advance(deployments[name], "COMPLETED", now)
    for name in plan.failed:
        _advance(deployments[name], "FAILED", now, rollback_to=plan.rollback_to)
    for name in plan.superseded:
        deployments[name].status, deployments[name].updated_at = "INACTIVE", now
    if plan.rollback_to is None:
        return
    target = deployments[plan.rollback_to]
    for name in plan.failed:
        deployments[name].status = "ACTIVE"
    target.status = "PRIMARY"
    target.desired_count = service.desired_count
    target.failed_tasks, target.last_failure_at = 0, None
    _advance(target, "IN_PROGRESS", now)
    for column in (
        "family",
        "revision",
        "launch_type",
        "capacity_provider_strategy",
        "platform_version",
        "network_configuration",
    ):
        setattr(service, column, getattr(target, column))


def _advance(row: Deployment, state: str, now: datetime, *, rollback_to: str | None = None) -> None:
    reason = events.rollout_reason(row.id, state, rollback_to=rollback_to)
    row.advance(state, at=now, because=reason)
    row.rollout_state_reason = reason
    row.updated_at = now


def _start(
    session: Session,
    service: Service,
    deployment: Deployment,
    start: StartTasks,
    begun: Begun,
    *,
    now: datetime,
    seed: int,
    settings: Settings,
    fleets: Fleets | None,
) -> None:
    definition = get_task_definition(session, deployment.family, deployment.revision)
    assert definition is not None, "a task definition that a deployment names is never dropped"
    launch = _launch(service, deployment, definition)
    if not start.hosts:
        count = min(start.count, MOST_STARTED)
        begun.waiting += start.count - count
        if start.zone:
            launch = replace(launch, constraints=[*launch.constraints, _only_in(start.zone)])
        for provider, share in _shares(session, deployment, count):
            wanted = replace(launch, capacity_provider=provider)
            launched = launch_tasks(session, wanted, share, now=now, seed=seed, settings=settings, fleets=fleets)
            begun.ids += launched.ids
            begun.missing += launched.missing
            if launched.refused is not None:
                begun.refused.append(launched.refused)
        return
    ids, refused = launch_on(session, launch, start.hosts, now=now, settings=settings, fleets=fleets)
    begun.ids += ids
    begun.missing += len(refused)
    begun.refused += refused


def _launch(service: Service, deployment: Deployment, definition: TaskDefinition) -> Launch:
    return Launch(
        cluster=service.cluster,
        task_definition=definition,
        launch_type=deployment.launch_type,
        group=f"service:{service.name}",
        started_by=deployment.id,
        service_name=service.name,
        deployment_id=deployment.id,
        platform_version=deployment.platform_version,
        network_configuration=deployment.network_configuration,
        constraints=service.placement_constraints,
        strategy=service.placement_strategy,
        tags=_tags(service, definition),
        enable_execute_command=service.enable_execute_command,
    )


def _only_in(zone: str) -> dict[str, str]:
    return {"type": "memberOf", "expression": f"{AVAILABILITY_ZONE} == '{zone}'"}


def _shares(session: Session, deployment: Deployment, count: int) -> Iterable[tuple[str | None, int]]:
    """How many tasks each capacity provider gets; all together where the deployment names none."""
    if not deployment.capacity_provider_strategy:
        return [(None, count)]
    running = tally_providers(session, deployment.id)
    return split(count, deployment.capacity_provider_strategy, running).items()


def _tags(service: Service, definition: TaskDefinition) -> list[dict[str, Any]]:
    own = {"SERVICE": service.tags, "TASK_DEFINITION": definition.tags}.get(service.propagate_tags, [])
    if not service.enable_ecs_managed_tags:
        return list(own)
    return [
        *own,
        {"key": "aws:ecs:clusterName", "value": service.cluster},
        {"key": "aws:ecs:serviceName", "value": service.name},
    ]


def _make_room(
    session: Session, seen: ServiceSeen, plan: RolloutPlan, begun: Begun, *, at: datetime, now: datetime
) -> list[str]:
    """Decide once more, now knowing what found no room: where the configuration allows it, older tasks go first."""
    if not any(reason.why in FREED_BY_STOPS for refused in begun.refused for reason in refused.reasons):
        return []
    primary = plan.start[0].deployment_id
    stopping = {stop.id for stop in plan.stop}
    told = [replace(task, desired_status="STOPPED") if task.id in stopping else task for task in seen.tasks]
    # What has not had its turn would have been refused with the rest.
    for count, refused in ((len(begun.ids), False), (begun.missing + begun.waiting, True)):
        if count:
            name = f"refused of {primary}" if refused else f"begun of {primary}"
            told.append(
                TaskSeen(
                    id=name,
                    deployment_id=primary,
                    last_status="PENDING",
                    created_at=now,
                    unplaceable=refused,
                    count=count,
                    named=False,
                )
            )
    again = decide(replace(seen, tasks=tuple(told)), at)
    _stop(session, again.stop, now)
    return [events.stopped(seen.name, [stop.id for stop in again.stop])] if again.stop else []


def _unable_to_place(service: Service, refused: Sequence[Refused]) -> str:
    closest = refused[0].closest()
    if closest is None:
        return events.unable_to_place(service.name, None, None)
    return events.unable_to_place(service.name, closest.host, closest.failure(), refused[0].text())


def _unless_said(service: Service, messages: Sequence[str], message: str) -> list[str]:
    """A situation that lasts is told once, whichever host happens to come closest, and by however much."""
    last = messages[-1] if messages else service.last_event
    return [] if last is not None and _PASSING.sub("", last) == _PASSING.sub("", message) else [message]


def _count_daemons(service: Service, deployments: Iterable[Deployment], count: int, now: datetime) -> None:
    """A DAEMON's desired count is the number of its hosts, so it is this loop that writes it."""
    service.desired_count = count
    for row in deployments:
        if row.status == "PRIMARY" and row.desired_count != count:
            row.desired_count, row.updated_at = count, now
