"""The rollout decision: one look at a service, one plan. Pure, and right from any starting point.

It starts up to ``maximumPercent``, stops down to ``minimumHealthyPercent``, and replaces what is old, unhealthy or on
a draining host. New tasks come first and old ones leave when their successors are healthy; only where there is no
room for that do old ones go first. Source: ECS API, DeploymentConfiguration.
"""

from datetime import datetime

from scheduler.rollout import events
from scheduler.rollout.census import Census, is_leaving, take_census
from scheduler.rollout.failures import REPEATED, opens, paused_until, rollback_target
from scheduler.rollout.plan import RolloutPlan, StartTasks, StopTask
from scheduler.rollout.rebalance import poorest, richest, step_begun, step_done, told_of
from scheduler.rollout.stops import Stops, stop_replaced, stop_replaced_daemons, stop_surplus
from scheduler.rollout.world import DeploymentSeen, ServiceSeen, count_tasks


def decide(service: ServiceSeen, now: datetime) -> RolloutPlan:
    """What to do for this service now. Raises ValueError for an ACTIVE service without a PRIMARY deployment."""
    if service.status != "ACTIVE":
        return _wind_down(service)
    primary = _primary(service)
    census = take_census(service, primary, now)
    if opens(service, primary, census.target):
        return _give_up(service, primary)
    if primary.rollout_state == "FAILED":
        return _hold_still(service, primary, census)
    return _roll(service, primary, census, now)


def _wind_down(service: ServiceSeen) -> RolloutPlan:
    """A service being deleted stops everything; percentages no longer hold."""
    present = [task for task in service.tasks if task.last_status != "STOPPED"]
    stops = tuple(
        StopTask(id=task.id, reason=events.scaling_reason(task.deployment_id))
        for task in present
        if task.named and not is_leaving(task)
    )
    return RolloutPlan(
        stop=stops,
        drained=not present,
        superseded=_without_tasks(service, keep=None),
        events=_stop_events(service, stops),
    )


def _give_up(service: ServiceSeen, primary: DeploymentSeen) -> RolloutPlan:
    target = rollback_target(service)
    told = [events.failed(service.name, primary.id)]
    if target is not None:
        told.append(events.rolling_back(service.name, target.id))
    return RolloutPlan(
        failed=(primary.id,),
        rollback_to=None if target is None else target.id,
        events=tuple(told),
    )


def _hold_still(service: ServiceSeen, primary: DeploymentSeen, census: Census) -> RolloutPlan:
    """A FAILED deployment with nothing to roll back to starts no tasks; it still follows a lowered desired count."""
    stops = Stops(census, primary)
    staying = (*census.keep, *census.replace)
    stop_surplus(stops, staying, count_tasks(staying) - census.target)
    chosen = tuple(stops.chosen.values())
    return RolloutPlan(stop=chosen, events=_stop_events(service, chosen), retry_at=census.ripens_at)


def _roll(service: ServiceSeen, primary: DeploymentSeen, census: Census, now: datetime) -> RolloutPlan:
    missing = max(0, census.target - census.kept)
    paused = paused_until(primary, now) if missing or poorest(service.zones) else None
    startable = 0 if paused else max(0, min(missing, census.ceiling - census.present))
    moving = _moves_over(service, census)
    if moving:
        stops = _stop_richest(service, primary, census)
    else:
        stops = _choose_stops(service, primary, census, unmet=0 if paused else missing - startable)
    steady = (
        census.kept == census.target
        and all(task.id in census.healthy for task in census.keep)
        and not census.replace
        and not census.leaving
    )
    waits = bool(
        startable
        or stops
        or paused
        or census.leaving
        or census.ripens_at
        or any(task.id not in census.healthy for task in census.keep)
        or any(task.protected for task in (*census.keep, *census.replace))
    )
    stuck = not waits and not steady
    completed = (primary.id,) if steady and primary.rollout_state == "IN_PROGRESS" else ()
    told = [*_stop_events(service, stops, sick=census.sick, moved=moving)]
    told += [events.completed(service.name, done) for done in completed]
    begun = _begin_rebalancing(service, primary, census) if steady and not completed and not paused else ()
    if begun and not told_of(service):
        told.append(events.unbalanced(service.name, _by_zone(service)))
    if steady and not begun:
        if step_done(service):
            told.append(events.balanced(service.name, _by_zone(service)))
        told += _unless_last(service, events.steady(service.name))
    if paused and missing and primary.failed_tasks >= REPEATED:
        told += _unless_last(service, events.unable_to_start(service.name))
    if stuck:
        told += _unless_last(service, events.unable_to_move(service.name))
    finished = bool(completed) or primary.rollout_state == "COMPLETED"
    fallback = None if finished else rollback_target(service)
    return RolloutPlan(
        start=begun or _starts(service, primary, census, startable),
        stop=stops,
        completed=completed,
        superseded=_without_tasks(service, keep=fallback),
        steady=steady,
        stuck=stuck,
        retry_at=min((at for at in (paused, census.ripens_at) if at is not None), default=None),
        events=tuple(told),
    )


def _choose_stops(service: ServiceSeen, primary: DeploymentSeen, census: Census, *, unmet: int) -> tuple[StopTask, ...]:
    """``unmet`` starts find no room under the ceiling; what is already leaving makes room for some of them."""
    stops = Stops(census, primary)
    stop_surplus(stops, census.keep, census.kept - census.target)
    refused = count_tasks(task for task in census.keep if task.unplaceable and task.last_status != "RUNNING")
    wanting = unmet + refused - count_tasks(census.leaving)
    if service.scheduling_strategy == "DAEMON":
        stop_replaced_daemons(stops, frozenset(service.eligible_hosts), wanting=wanting)
    else:
        stop_replaced(stops, wanting=wanting)
    return tuple(stops.chosen.values())


def _moves_over(service: ServiceSeen, census: Census) -> bool:
    """Is the one task too many the new one of a move to another zone?"""
    return step_begun(service) and census.kept == census.target + 1 and not census.replace and not census.leaving


def _stop_richest(service: ServiceSeen, primary: DeploymentSeen, census: Census) -> tuple[StopTask, ...]:
    """The second half of a move: once every task is healthy, one less where most are."""
    zone = richest(service.zones)
    if zone is None or any(task.id not in census.healthy for task in census.keep):
        return ()
    stops = Stops(census, primary)
    stop_surplus(stops, [task for task in census.keep if task.zone == zone.name], 1)
    return tuple(stops.chosen.values())


def _begin_rebalancing(service: ServiceSeen, primary: DeploymentSeen, census: Census) -> tuple[StartTasks, ...]:
    """The first half of a move, where there is one to make and room for one more task."""
    zone = poorest(service.zones)
    if zone is None or census.ceiling <= census.present:
        return ()
    return (StartTasks(deployment_id=primary.id, count=1, zone=zone.name),)


def _by_zone(service: ServiceSeen) -> dict[str, int]:
    return {zone.name: zone.tasks for zone in service.zones}


def _starts(service: ServiceSeen, primary: DeploymentSeen, census: Census, count: int) -> tuple[StartTasks, ...]:
    if count <= 0:
        return ()
    if service.scheduling_strategy != "DAEMON":
        return (StartTasks(deployment_id=primary.id, count=count),)
    covered = {task.host for task in census.keep}
    busy = {task.host for task in (*census.replace, *census.leaving)}
    # Hosts with nothing on them first: there the new task stands in for nobody.
    open_hosts = sorted(set(service.eligible_hosts) - covered, key=lambda host: (host in busy, host))
    hosts = tuple(open_hosts[:count])
    return (StartTasks(deployment_id=primary.id, count=len(hosts), hosts=hosts),)


def _primary(service: ServiceSeen) -> DeploymentSeen:
    for deployment in service.deployments:
        if deployment.status == "PRIMARY":
            return deployment
    raise ValueError(f"service {service.name} has no PRIMARY deployment")


def _without_tasks(service: ServiceSeen, *, keep: DeploymentSeen | None) -> tuple[str, ...]:
    """ACTIVE deployments whose last task is gone; ``keep`` is spared because it may be rolled back to."""
    busy = {task.deployment_id for task in service.tasks if task.last_status != "STOPPED"}
    return tuple(
        deployment.id
        for deployment in service.deployments
        if deployment.status == "ACTIVE" and deployment.id not in busy and deployment != keep
    )


def _stop_events(
    service: ServiceSeen, stops: tuple[StopTask, ...], *, sick: frozenset[str] = frozenset(), moved: bool = False
) -> tuple[str, ...]:
    if not stops:
        return ()
    zone = richest(service.zones) if moved else None
    if zone is not None:
        return (events.stopped_to_rebalance(service.name, zone.name, [stop.id for stop in stops]),)
    unhealthy = [stop.id for stop in stops if stop.id in sick]
    told = [events.unhealthy(service.name, name) for name in unhealthy[: events.MOST_NAMED]]
    return (*told, events.stopped(service.name, [stop.id for stop in stops]))


def _unless_last(service: ServiceSeen, message: str) -> list[str]:
    return [] if service.last_event == message else [message]
