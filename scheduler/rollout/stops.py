"""Stops: which tasks a rollout ends now, and why. The one place where tasks of a service are chosen to die.

No stop made here takes the healthy tasks below the census's floor, so whatever else happens, the service's own
scheduler never breaks ``minimumHealthyPercent``.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from scheduler.rollout.census import Census
from scheduler.rollout.events import UNHEALTHY_REASON, scaling_reason
from scheduler.rollout.plan import StopTask
from scheduler.rollout.world import DeploymentSeen, TaskSeen, count_tasks


class Stops:
    """The stops chosen so far, and the healthy tasks they leave."""

    def __init__(self, census: Census, primary: DeploymentSeen) -> None:
        self.census = census
        self.primary = primary
        self.chosen: dict[str, StopTask] = {}
        self._healthy = census.well

    def allows(self, task: TaskSeen) -> bool:
        """May this task be stopped without going below the floor?"""
        return task.id not in self.census.healthy or self._healthy > self.census.floor

    def add(self, task: TaskSeen) -> bool:
        """Choose the task unless it has no name or is protected or the floor forbids it; say whether it was chosen."""
        sick = task.id in self.census.sick
        spared = task.protected and not sick
        if not task.named or spared or task.id in self.chosen or not self.allows(task):
            return False
        reason = UNHEALTHY_REASON if sick else scaling_reason(self.primary.id)
        self.chosen[task.id] = StopTask(id=task.id, reason=reason)
        self._healthy -= task.id in self.census.healthy
        return True


def stop_surplus(stops: Stops, tasks: Iterable[TaskSeen], count: int) -> None:
    """Stop ``count`` of the tasks: those not healthy yet first, the newest of them first; then from the hosts that
    hold most of the service's tasks, so that what stays is spread. Only those that were read can be stopped."""
    if count <= 0:
        return
    named = [task for task in tasks if task.named and not task.protected]
    newest_first = sorted(named, key=lambda task: (-task.created_at.timestamp(), task.id))
    healthy = stops.census.healthy
    unready = [task for task in newest_first if task.id not in healthy][:count]
    for task in unready:
        stops.add(task)
    by_host: dict[str, list[TaskSeen]] = {}
    for task in reversed([task for task in newest_first if task.id in healthy]):
        by_host.setdefault(task.host or "", []).append(task)
    fullest = [(-len(group), -group[-1].created_at.timestamp(), host) for host, group in by_host.items()]
    heapify(fullest)
    for _ in range(count - len(unready)):
        if not fullest:
            return
        _, _, host = heappop(fullest)
        group = by_host[host]
        stops.add(group.pop())
        if group:
            heappush(fullest, (-len(group), -group[-1].created_at.timestamp(), host))


def stop_replaced(stops: Stops, *, wanting: int) -> None:
    """Stop tasks that are to be replaced.

    Those that never ran yet go at once. Of the others, as many go as healthy successors stand in for, and as many
    more as there are ``wanting`` starts that ``maximumPercent`` or a full cluster holds up.
    """
    census = stops.census
    running = []
    for task in census.replace:
        if task.last_status == "RUNNING":
            running.append(task)
        elif stops.add(task):
            wanting -= 1
    successors = count_tasks(task for task in census.keep if task.id in census.healthy and task.id not in stops.chosen)
    replaced = successors + count_tasks(running) - census.target
    for task in sorted(running, key=lambda task: _usefulness(stops, task)):
        if max(replaced, wanting) <= 0:
            return
        if stops.add(task):
            replaced -= 1
            wanting -= 1


def stop_replaced_daemons(stops: Stops, eligible: frozenset[str], *, wanting: int) -> None:
    """As ``stop_replaced``, host by host: a successor stands in only on its own host, and a task on a host that is
    not eligible any more needs none."""
    census = stops.census
    covered = {task.host for task in census.keep if task.id in census.healthy}
    refused = {task.host for task in census.keep if task.unplaceable}
    awaited = {task.host for task in census.keep} - refused
    # A successor that was refused waits for its own host, so room is made there first.
    for task in sorted(census.replace, key=lambda task: (task.host not in refused, _usefulness(stops, task))):
        needless = task.last_status != "RUNNING" or task.host in covered or task.host not in eligible
        if needless:
            stops.add(task)
        elif wanting > 0 and task.host not in awaited and stops.add(task):
            wanting -= 1


def _usefulness(stops: Stops, task: TaskSeen) -> tuple[bool, bool, float, str]:
    """Least useful first: unhealthy, then on a draining host, then the oldest."""
    healthy = task.id in stops.census.healthy
    return (healthy, not task.draining, task.created_at.timestamp(), task.id)
