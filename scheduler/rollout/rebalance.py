"""Rebalancing over availability zones: one task more where fewest are, then one less where most are.

Decided on the zones' counts alone, so it is right from any starting point. A step begins only at rest, and its second
half waits until the new task is healthy; the percentages of the deployment configuration hold throughout.
Source: ECS developer guide, "Balancing an Amazon ECS service across Availability Zones".
"""

from collections.abc import Iterable

from scheduler.rollout.world import ServiceSeen, ZoneSeen, count_tasks

STARTED, STOPPED, EITHER = "to AZ Rebalance", "due to AZ Rebalancing", "AZ Rebalanc"


def may_rebalance(service: ServiceSeen) -> bool:
    """Could zones matter to a decision on this service? Where this says no, nobody need count them."""
    alive = count_tasks(task for task in service.tasks if task.last_status != "STOPPED")
    return (
        service.rebalancing
        and service.status == "ACTIVE"
        and service.scheduling_strategy == "REPLICA"
        and service.desired > 1
        and alive in (service.desired, service.desired + 1)
        and alive == count_tasks(task for task in service.tasks if task.desired_status != "STOPPED")
    )


def step_begun(service: ServiceSeen) -> bool:
    """Was the last that was told of the service that a task was started to rebalance it?"""
    return bool(service.zones) and STARTED in (service.last_event or "")


def told_of(service: ServiceSeen) -> bool:
    """Was the last that was told of the service about its rebalancing at all?"""
    return EITHER in (service.last_event or "")


def step_done(service: ServiceSeen) -> bool:
    """Was the last that was told of the service that a task was stopped to rebalance it?"""
    return bool(service.zones) and STOPPED in (service.last_event or "")


def poorest(zones: Iterable[ZoneSeen]) -> ZoneSeen | None:
    """The zone to start one more task in; None where the zones that can be used are even."""
    known = tuple(zones)
    least = min((zone for zone in known if zone.open), key=lambda zone: (zone.tasks, zone.name), default=None)
    most = richest(known)
    if least is None or most is None or most.tasks - least.tasks < 2:
        return None
    return least


def richest(zones: Iterable[ZoneSeen]) -> ZoneSeen | None:
    """The zone with most tasks."""
    return max(zones, key=lambda zone: (zone.tasks, zone.name), default=None)


def even(zones: Iterable[ZoneSeen]) -> bool:
    """Is there nothing to move?"""
    return poorest(zones) is None
