"""Choosing: whether some tasks of a service may have to be told to stop, so that they must be known by name.

Where this says no, counting tasks is enough: a decision on their numbers is the decision on the tasks themselves.
"""

from scheduler.rollout.census import is_leaving
from scheduler.rollout.world import ServiceSeen, count_tasks


def chooses(service: ServiceSeen) -> bool:
    """Might this service's own scheduler stop a task now or when its tasks have settled?"""
    staying = [task for task in service.tasks if task.last_status != "STOPPED" and not is_leaving(task)]
    if service.status != "ACTIVE":
        return bool(staying)
    if service.scheduling_strategy == "DAEMON":
        # Which host each of its tasks is on decides everything.
        return True
    primary = {deployment.id for deployment in service.deployments if deployment.status == "PRIMARY"}
    return count_tasks(staying) > service.desired or any(
        task.deployment_id not in primary or task.draining or task.healthy is False for task in staying
    )
