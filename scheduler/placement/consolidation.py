"""Consolidation: which tasks to move so that the most hosts stand empty, within a budget of disruption. Pure.

From the host with the least in use on, all of a host's tasks are moved or none. They go to hosts that are in use
anyhow, chosen by the engine itself with the tasks' own constraints and strategies, and a host that has taken one is
left as it is: so no task moves twice, and whatever holds for placement holds after the moves.

Whoever moves a task starts another and stops it, so this is for services' tasks; a job would begin anew.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scheduler.placement.fleet import Fleet
from scheduler.placement.place import place
from scheduler.placement.world import Ask, Host


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A task where it runs; its ask has the task's id and, as always, its group."""

    ask: Ask
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much may be disturbed: moves in all, and of each group, tasks that may be moved at once. A group that is
    not named is not to be disturbed."""

    moves: int
    spare: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One task, by its id, from one host to another."""

    task: str
    source: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Consolidation:
    """The moves, a host's together, and the hosts that are empty after them; those empty before are not named."""

    moves: tuple[Move, ...]
    emptied: tuple[str, ...]


def plan_consolidation(hosts: Iterable[Host], residents: Iterable[Resident], budget: Budget) -> Consolidation:
    """Name the moves. A host of which not every task is among the residents is not emptied, but may take tasks."""
    now = {host.id: host for host in hosts}
    on: dict[str, list[Ask]] = defaultdict(list)
    for resident in residents:
        on[resident.host].append(resident.ask)
    fleet = Fleet(host for host in now.values() if host.tasks)
    moves: list[Move] = []
    emptied: list[str] = []
    taken: set[str] = set()
    spare = Counter(budget.spare)
    for source in sorted(filter(_may_be_emptied, now.values()), key=_in_use):
        asks = sorted(on[source.id], key=lambda ask: (-ask.memory, -ask.cpu, ask.id))
        wanted = Counter(ask.group for ask in asks)
        whole = len(asks) == source.tasks and source.id not in taken
        if not whole or len(moves) + len(asks) > budget.moves or any(spare[one] < wanted[one] for one in wanted):
            continue
        targets = _move(fleet, now, source, asks)
        if targets is None:
            continue
        moves += [Move(task=ask.id, source=source.id, target=target) for ask, target in zip(asks, targets, strict=True)]
        emptied.append(source.id)
        taken.update(targets)
        spare -= wanted
    return Consolidation(moves=tuple(moves), emptied=tuple(emptied))


def _move(fleet: Fleet, now: dict[str, Host], source: Host, asks: Sequence[Ask]) -> list[str] | None:
    """Find a host for each of the asks without the source; the fleet and ``now`` are as before when one finds none."""
    fleet.drop(source.id)
    plan = place(fleet, asks, seed=0)
    targets = [placed.host for placed in plan.placed]
    if not plan.refused:
        now |= {target: fleet.host(target) for target in targets}
        return targets
    for target in targets:
        fleet.put(now[target])
    fleet.put(source)
    return None


def _may_be_emptied(host: Host) -> bool:
    return host.status == "ACTIVE" and host.connected and host.tasks > 0


def _in_use(host: Host) -> tuple[float, int, str]:
    """The share of the host that is in use, of CPU or of memory, whichever is greater."""
    cpu = 1 - host.free_cpu / max(host.registered_cpu, 1)
    memory = 1 - host.free_memory / max(host.registered_memory, 1)
    return max(cpu, memory), host.tasks, host.id


def spare_tasks(running: int, desired: int, minimum_healthy_percent: int, maximum_percent: int) -> int:
    """Of a service's running tasks, how many may be moved at once: those that may be away, and those whose successors
    may run beside them. Source: ECS API, DeploymentConfiguration."""
    away = max(0, running - -(-desired * minimum_healthy_percent // 100))
    beside = max(0, desired * maximum_percent // 100 - running) if running >= desired else 0
    return min(running, away + beside)
