"""The scheduler's loops, each given what it needs."""

from collections.abc import Mapping
from datetime import timedelta

from kit.clock import Clock
from kit.reconciler import Reconciler
from kit.secrets import SecretBox
from kit.settings import Settings
from orchestrator.api.scheduler.invoke import make_invoke
from scheduler.fleets import Fleets
from scheduler.loops.capacities import CapacitiesLoop
from scheduler.loops.compute_environments import ComputeEnvironmentsLoop
from scheduler.loops.hosts import HostsLoop
from scheduler.loops.housekeeping import HousekeepingLoop
from scheduler.loops.job_queues import JobQueuesLoop
from scheduler.loops.jobs import JobsLoop
from scheduler.loops.schedules import SchedulesLoop
from scheduler.loops.services import ServicesLoop
from scheduler.loops.timer import Timer
from scheduler.loops.usage import UsageLoop
from scheduler.provisioners import Provisioner
from state.loop import Leases
from state.store import Store


def make_loops(
    store: Store,
    clock: Clock,
    leases: Leases,
    settings: Settings,
    provisioners: Mapping[str, Provisioner],
    secrets: SecretBox,
    *,
    fleets: Fleets | None = None,
) -> list[Reconciler]:
    """Every loop, in no particular order: they meet in the store alone."""
    fleets = fleets or Fleets()
    return [
        CapacitiesLoop(store, clock, leases, provisioners),
        HostsLoop(store, clock, leases, lose_hosts=settings.host_lost_seconds > 0),
        ServicesLoop(store, clock, leases, settings=settings, fleets=fleets),
        JobsLoop(store, clock, leases, settings=settings, fleets=fleets),
        JobQueuesLoop(store, clock, leases),
        ComputeEnvironmentsLoop(store, clock, leases, settings=settings),
        SchedulesLoop(
            store,
            clock,
            leases,
            invoke=make_invoke(settings, secrets, clock, fleets=fleets),
            alarm=Timer(lambda: store.wakes.send([SchedulesLoop.name])),
        ),
        UsageLoop(store, clock, leases),
        HousekeepingLoop(store, clock, leases, task_retention=timedelta(seconds=settings.task_retention_seconds)),
    ]
