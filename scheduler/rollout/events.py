"""The texts of service events, stopped reasons and rollout states, as ECS words them.

Source: ECS developer guide, "Service event messages". Clients take an event that contains "unable" for an error,
so that word stands only where one is told.
"""

from collections.abc import Mapping, Sequence

from scheduler.rollout.rebalance import STARTED, STOPPED

MOST_NAMED = 10
"""So many tasks an event names; of more it says how many they are."""

_GUIDE = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."

_CLOSEST = {
    "RESOURCE:MEMORY": "has insufficient memory available",
    "RESOURCE:CPU": "has insufficient CPU units available",
    "RESOURCE:PORTS": "is already using a port required by your task",
    "ATTRIBUTE": "is missing an attribute required by your task",
}


def started(service: str, task_ids: Sequence[str]) -> str:
    """Told by the caller, once the started tasks have ids."""
    return f"(service {service}) has started {len(task_ids)} tasks: {_tasks(task_ids)}."


def stopped(service: str, task_ids: Sequence[str]) -> str:
    """The scheduler stopped these tasks."""
    return f"(service {service}) has stopped {len(task_ids)} running tasks: {_tasks(task_ids)}."


def unbalanced(service: str, tasks: Mapping[str, int]) -> str:
    """Rebalancing begins; ``tasks`` are the tasks by availability zone."""
    return f"(service {service}) is not AZ balanced with {_by_zone(tasks)}. AZ Rebalancing in progress."


def balanced(service: str, tasks: Mapping[str, int]) -> str:
    """Rebalancing is done; ``tasks`` are the tasks by availability zone."""
    return f"(service {service}) is AZ balanced with {_by_zone(tasks)}."


def started_to_rebalance(service: str, zone: str, task_ids: Sequence[str]) -> str:
    """Told by the caller, once the started task has an id."""
    return f"(service {service}) has started {len(task_ids)} tasks in {zone} {STARTED}: {_tasks(task_ids)}."


def stopped_to_rebalance(service: str, zone: str, task_ids: Sequence[str]) -> str:
    """A task too many in its zone was stopped, as another runs elsewhere."""
    return f"(service {service}) has stopped {len(task_ids)} running tasks in {zone} {STOPPED}: {_tasks(task_ids)}."


def no_room_to_rebalance(service: str, zone: str, why: str) -> str:
    """Nothing is wrong with the service, so that it says nothing that clients take for an error."""
    return f"(service {service}) AZ Rebalancing waits for room in {zone}.{WHY}{why}."


def steady(service: str) -> str:
    """All desired tasks are healthy and nothing is left to do."""
    return f"(service {service}) has reached a steady state."


def completed(service: str, deployment_id: str) -> str:
    """The deployment's rolloutState became COMPLETED."""
    return f"(service {service}) (deployment {deployment_id}) deployment completed."


def failed(service: str, deployment_id: str) -> str:
    """The circuit breaker gave the deployment up."""
    return f"(service {service}) (deployment {deployment_id}) deployment failed: tasks failed to start."


def rolling_back(service: str, deployment_id: str) -> str:
    """The deployment with this id becomes PRIMARY again."""
    return f"(service {service}) rolling back to deployment {deployment_id}."


def unhealthy(service: str, task_id: str) -> str:
    """A task is stopped because it fails its health checks."""
    return f"(service {service}) (task {task_id}) failed container health checks."


def unable_to_start(service: str) -> str:
    """Tasks failed to start several times in a row, and starts pause."""
    return f"(service {service}) is unable to consistently start tasks successfully. {_GUIDE}"


def unable_to_move(service: str) -> str:
    """The deployment configuration allows neither a start nor a stop."""
    return (
        f"(service {service}) was unable to stop or start tasks during a deployment because of the service "
        "deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
    )


WHY = " Why: "
"""What begins Berth's own words in an event; they change with every task that comes or goes."""


def unable_to_place(service: str, host: str | None, reason: str | None, why: str = "") -> str:
    """``host`` and ``reason`` are the closest host and its failure code (``RESOURCE:MEMORY``); None without hosts.

    ``why`` is the refusal's text, with what was asked and what is free: Berth's addition to ECS's sentence.
    """
    start = f"(service {service}) was unable to place a task because no container instance met all of its requirements."
    if host is None or reason is None:
        return f"{start} Reason: No Container Instances were found in your cluster. {_GUIDE}"
    closest = _CLOSEST.get(reason, f'encountered error "{reason}"')
    own = f"{WHY}{why}." if why else ""
    return f"{start} The closest matching (container-instance {host}) {closest}.{own} {_GUIDE}"


def scaling_reason(deployment_id: str) -> str:
    """``stoppedReason`` of a task that a deployment no longer needs."""
    return f"Scaling activity initiated by (deployment {deployment_id})"


UNHEALTHY_REASON = "Task failed container health checks"


def rollout_reason(deployment_id: str, rollout_state: str, *, rollback_to: str | None = None) -> str:
    """``rolloutStateReason`` of a deployment."""
    match rollout_state:
        case "COMPLETED":
            return f"ECS deployment {deployment_id} completed."
        case "FAILED" if rollback_to is not None:
            return f"ECS deployment circuit breaker: rolling back to deploymentId {rollback_to}."
        case "FAILED":
            return "ECS deployment circuit breaker: tasks failed to start."
        case _:
            return f"ECS deployment {deployment_id} in progress."


def _by_zone(tasks: Mapping[str, int]) -> str:
    told = [f"{count} tasks in {zone}" for zone, count in sorted(tasks.items())]
    return " and ".join([", ".join(told[:-1]), told[-1]]) if len(told) > 1 else "".join(told)


def _tasks(task_ids: Sequence[str]) -> str:
    named = " ".join(f"(task {task_id})" for task_id in task_ids[:MOST_NAMED])
    more = len(task_ids) - MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named
