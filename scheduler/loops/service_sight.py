"""What the services loop sees: every living service with its deployments and tasks, in a handful of queries.

Tasks that are alike are seen as one with a count, so a look costs no more because more tasks run; those among which
something must be chosen are seen one by one (``service_names``). Nothing here writes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, tuple_

from scheduler.loops.daemon_hosts import Daemon
from scheduler.loops.service_crowds import Crowds
from scheduler.loops.service_grounds import Grounds, Wish
from scheduler.loops.service_names import Choice, Named, judge_unjudged, name_tasks
from scheduler.loops.service_zones import Candidate, find_zones
from scheduler.placement import Constraint, check_constraints
from scheduler.placement.constraints import MOST_CONSTRAINTS
from scheduler.rollout import CircuitBreaker, DeploymentSeen, ServiceSeen, TaskSeen, chooses, may_rebalance, richest
from state.service_tasks import tally_alike
from state.services import Deployment, Service
from state.store import Session
from state.task_definitions import TaskDefinition

Key = tuple[str, str]
"""A service's cluster and name."""
Revision = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One service as seen, and the version of its row at that time."""

    key: Key
    version: int
    service: ServiceSeen
    steady: bool
    """The service was already steady and nothing has been asked of it since."""
    desired_count: int
    """As it stands in the row; a DAEMON's is the loop's to write."""
    at: datetime
    """When this was so."""
    reset_on_healthy: bool = True
    """Whether a healthy task forgives the failed starts before it."""
    more: bool = False
    """Not every task was seen that matters one by one: look again once something is done about those that were."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What the loop must know of a task definition, whose revisions never change."""

    checked: bool
    """An essential container declares a health check."""
    attributes: tuple[tuple[str, str | None], ...] = ()
    constraints: tuple[Constraint, ...] = ()


_NOTHING = Needs(checked=False)


def look(
    session: Session, known: dict[Revision, Needs], grounds: Grounds, *, now: datetime, settle: timedelta
) -> list[Sight]:
    """Every service that is not INACTIVE. ``known`` is filled with the task definitions met on the way; ``settle`` is
    how long a task without a health check must have run to count as healthy."""
    services = session.scalars(
        select(Service).where(Service.status != "INACTIVE").order_by(Service.cluster, Service.name)
    ).all()
    if not services:
        return []
    deployments: dict[Key, list[Deployment]] = defaultdict(list)
    for row in session.scalars(select(Deployment).where(Deployment.status != "INACTIVE")):
        deployments[row.cluster, row.service_name].append(row)
    wanted = {(row.family, row.revision) for rows in deployments.values() for row in rows}
    _learn(session, known, wanted | {(service.family, service.revision) for service in services})
    rows = [row for own in deployments.values() for row in own]
    checked = {row.id for row in rows if _needs(known, row).checked}
    crowds = Crowds(tally_alike(session), checked=checked, now=now, settled_by=now - settle)
    counted = {
        key: _service(service, deployments[key], crowds.seen(row.id for row in deployments[key]))
        for service in services
        for key in ((service.cluster, service.name),)
    }
    zoned = find_zones(session, grounds, _candidates(services, counted, known))
    for key, zones in zoned.services.items():
        counted[key] = replace(counted[key], zones=zones)
    crowds.zones = zoned.hosts
    unjudged = judge_unjudged(session)
    named = name_tasks(session, _choices(counted.values(), crowds, unjudged), now - settle)
    crowds.name([*unjudged.rows, *named.rows])
    crowds.name(named.witnesses, to_choose=False)
    leaving = [seen for seen in counted.values() if seen.scheduling_strategy == "DAEMON"]
    crowds.place_leaving(session, [deployment.id for seen in leaving for deployment in seen.deployments])
    crowds.settle(session)
    daemons = {
        (service.cluster, _daemon(service, known)): {
            task.host for task in crowds.seen(row.id for row in deployments[service.cluster, service.name])
        }
        for service in services
        if service.scheduling_strategy == "DAEMON"
    }
    grounds.daemons.look(session, {cluster for cluster, _ in daemons})
    takers = grounds.daemons.takers(daemons)
    more = named.more | unjudged.more
    return [
        _sight(
            service,
            replace(counted[key], tasks=crowds.seen(row.id for row in deployments[key])),
            now,
            known,
            takers.get((service.cluster, _daemon(service, known)), ()),
            more=any(row.id in more for row in deployments[key]),
        )
        for service in services
        for key in ((service.cluster, service.name),)
    ]


def _candidates(
    services: Iterable[Service], counted: Mapping[Key, ServiceSeen], known: Mapping[Revision, Needs]
) -> dict[Key, Candidate]:
    """Services that may have a task to move to another zone."""
    found: dict[Key, Candidate] = {}
    for service in services:
        key = (service.cluster, service.name)
        needs = _needs(known, service)
        rules = (*needs.constraints, *check_constraints(service.placement_constraints))
        # Whoever moves a task names its zone by one more rule.
        if may_rebalance(counted[key]) and service.launch_type == "EC2" and len(rules) < MOST_CONSTRAINTS:
            expressions = tuple(rule.expression for rule in rules if rule.expression)
            wish = Wish(attributes=needs.attributes, expressions=expressions)
            found[key] = Candidate(cluster=service.cluster, wish=wish, service=counted[key])
    return found


def _choices(counted: Iterable[ServiceSeen], crowds: Crowds, unjudged: Named) -> Iterator[Choice]:
    ended = {row.deployment_id for row in unjudged.rows}
    for seen in counted:
        choosing = chooses(seen)
        failing = any(row.failed_tasks or row.id in ended for row in seen.deployments)
        if choosing or failing:
            yield Choice(
                service=seen,
                kinds=[kind for row in seen.deployments for kind in crowds.kinds(row.id)],
                checked=frozenset(row.id for row in seen.deployments if row.id in crowds.checked),
                failing=failing,
                chooses=choosing,
                crowded=_crowded(seen, crowds.zones) if choosing else None,
            )


def _crowded(seen: ServiceSeen, zones: Mapping[str, str]) -> frozenset[str] | None:
    zone = richest(seen.zones)
    return None if zone is None else frozenset(host for host, name in zones.items() if name == zone.name)


def _needs(known: Mapping[Revision, Needs], row: Service | Deployment) -> Needs:
    return known.get((row.family, row.revision), _NOTHING)


def _learn(session: Session, known: dict[Revision, Needs], wanted: set[Revision]) -> None:
    unknown = wanted - known.keys()
    if not unknown:
        return
    rows = select(TaskDefinition.family, TaskDefinition.revision, TaskDefinition.body).where(
        tuple_(TaskDefinition.family, TaskDefinition.revision).in_(sorted(unknown))
    )
    for family, revision, body in session.execute(rows):
        known[family, revision] = Needs(
            checked=any(
                container.get("healthCheck") and container.get("essential", True)
                for container in body["containerDefinitions"]
            ),
            attributes=tuple((wish["name"], wish.get("value")) for wish in body.get("requiresAttributes", ())),
            constraints=check_constraints(body.get("placementConstraints")),
        )


def _sight(
    service: Service,
    seen: ServiceSeen,
    now: datetime,
    known: Mapping[Revision, Needs],
    eligible: tuple[str, ...],
    *,
    more: bool,
) -> Sight:
    breaker = service.deployment_configuration.get("deploymentCircuitBreaker") or {}
    if service.scheduling_strategy == "DAEMON":
        seen = replace(seen, eligible_hosts=eligible)
    return Sight(
        key=(service.cluster, service.name),
        version=service.version,
        service=seen,
        steady=service.steady_at is not None,
        desired_count=service.desired_count,
        at=now,
        reset_on_healthy=breaker.get("resetOnHealthyTask") is not False,
        more=more,
    )


def _service(service: Service, deployments: Sequence[Deployment], tasks: Iterable[TaskSeen]) -> ServiceSeen:
    return ServiceSeen(
        name=service.name,
        desired=service.desired_count,
        status=service.status,
        scheduling_strategy=service.scheduling_strategy,
        minimum_healthy_percent=service.deployment_configuration["minimumHealthyPercent"],
        maximum_percent=service.deployment_configuration["maximumPercent"],
        circuit_breaker=_breaker(service.deployment_configuration.get("deploymentCircuitBreaker") or {}),
        deployments=tuple(_deployment(row) for row in deployments),
        tasks=tuple(tasks),
        health_check_grace=timedelta(seconds=service.health_check_grace_seconds or 0),
        rebalancing=service.availability_zone_rebalancing == "ENABLED",
        last_event=service.last_event,
    )


def _breaker(given: Mapping[str, Any]) -> CircuitBreaker:
    threshold = given.get("thresholdConfiguration")
    breaker = CircuitBreaker(enable=bool(given.get("enable")), rollback=bool(given.get("rollback")))
    if not threshold:
        return breaker
    return replace(breaker, threshold_type=threshold["type"], threshold=threshold["value"])


def _deployment(row: Deployment) -> DeploymentSeen:
    return DeploymentSeen(
        id=row.id,
        status=row.status,
        created_at=row.created_at,
        rollout_state=row.rollout_state,
        failed_tasks=row.failed_tasks,
        last_failure_at=row.last_failure_at,
    )


def _daemon(service: Service, known: Mapping[Revision, Needs]) -> Daemon:
    needs = _needs(known, service)
    return Daemon(
        group=f"service:{service.name}",
        attributes=needs.attributes,
        constraints=(*needs.constraints, *check_constraints(service.placement_constraints)),
    )
