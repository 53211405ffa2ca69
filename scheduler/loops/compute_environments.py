"""The compute environments loop: CREATING and UPDATING become VALID, DELETING ends when nothing is left, and managed
EC2 environments get hosts for the jobs that wait and lose those that idle.

It writes Capacity rows; the capacities loop launches and terminates what they stand for.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from kit.clock import Clock
from kit.ids import new_id
from kit.settings import Settings
from scheduler.jobs.instance_types import InstanceType, allowed_types
from scheduler.jobs.scaling import IDLE_FOR, Demand, Fleet, HostSeen, Scaling, next_release, scale
from scheduler.queueing import Job, Queue, order
from state.capacities import Capacity
from state.clusters import get_cluster, lock_cluster
from state.compute_environments import (
    ComputeEnvironment,
    get_compute_environment,
    list_compute_environments,
)
from state.container_instances import get_container_instance
from state.environment_hosts import (
    EnvironmentHost,
    environment_hosts,
    failed_launches,
    gone_clusters,
    hosts_by_cluster,
    unfinished_jobs,
)
from state.job_queues import JobQueue, list_job_queues
from state.job_work import Runnable, first_runnable
from state.loop import Leases, Loop
from state.store import Session, Store
from state.tasks import list_tasks_on

HEALTHY = "ComputeEnvironment Healthy"
CLUSTER_GONE = "CLIENT_ERROR - The ECS cluster of the compute environment was deleted"
# Jobs of one queue and size that are looked at when hosts are counted.
WINDOW = 200
ENDS_SOON = timedelta(seconds=1)
# After a host could not be had, the pause before the next is asked for.
RETRY_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look found."""

    environments: Sequence[ComputeEnvironment]
    hosts: Sequence[EnvironmentHost]
    failures: Mapping[str, tuple[datetime, str]]
    jobs: Mapping[str, int]
    registered: Mapping[str, int]
    gone_clusters: Collection[str]
    queues: Sequence[JobQueue]
    runnable: Sequence[Runnable]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do to one environment; its members that stay empty are not used."""

    name: str
    status: str | None = None
    ending: bool = False
    bury: bool = False
    launch: Sequence[InstanceType] = ()
    release: Sequence[str] = ()
    reason: str | None = None
    desired_vcpus: int | None = None


class ComputeEnvironmentsLoop(Loop):
    """Keeps compute environments as they are wished."""

    name: ClassVar[str] = "compute_environments"
    every = timedelta(seconds=10)

    def __init__(self, store: Store, clock: Clock, leases: Leases, *, settings: Settings) -> None:
        super().__init__(store, clock, leases)
        self.settings = settings

    def observe(self, session: Session, now: datetime) -> Seen:
        environments = list_compute_environments(session)
        queues = list_job_queues(session)
        scaled = {one.name for one in environments if one.kind == "EC2"}
        served = [queue.name for queue in queues if scaled.intersection(queue.environments)]
        return Seen(
            environments=environments,
            hosts=environment_hosts(session),
            failures=failed_launches(session, now - RETRY_AFTER),
            jobs=unfinished_jobs(session),
            registered=hosts_by_cluster(session),
            gone_clusters=gone_clusters(session),
            queues=queues,
            runnable=first_runnable(session, WINDOW, queues=served) if served else [],
        )

    def decide(self, seen: Seen, now: datetime) -> list[Plan] | None:
        fleets = {one.name: _fleet(one, seen) for one in seen.environments if one.kind == "EC2"}
        scalings = scale(fleets, _demand(seen), now)
        plans = []
        for environment in seen.environments:
            plan = _decide(environment, seen, scalings.get(environment.name))
            if _changes(plan, environment):
                plans.append(plan)
        return plans or None

    def record(self, session: Session, plans: list[Plan], now: datetime) -> None:
        for plan in plans:
            environment = get_compute_environment(session, plan.name, lock=True)
            if environment is None:
                continue
            if environment.status == "DELETING" and not plan.ending:
                continue
            if plan.status is not None and plan.status != environment.status:
                environment.advance(plan.status, at=now, because=plan.reason or HEALTHY)
                session.wake("jobs", "compute_environments")
            environment.status_reason = plan.reason
            if plan.desired_vcpus is not None:
                environment.desired_vcpus = plan.desired_vcpus
            for kind in plan.launch:
                session.add(self._capacity(environment, kind, now))
            for capacity_id in plan.release:
                _release(session, capacity_id, now)
            if plan.launch or plan.release:
                session.wake("capacities", "compute_environments")
            if plan.bury and environment.status == "DELETING":
                _bury(session, environment, now)

    def next_look(self, seen: Seen, now: datetime) -> datetime | None:
        dues = [next_release(_fleet(one, seen)) for one in seen.environments if one.kind == "EC2"]
        dues += [at + RETRY_AFTER for at, _ in seen.failures.values()]
        # Hosts and their registrations go without telling this loop.
        dues += [now + ENDS_SOON for one in seen.environments if one.status == "DELETING"]
        return min((due for due in dues if due is not None and due > now), default=None)

    def _capacity(self, environment: ComputeEnvironment, kind: InstanceType, now: datetime) -> Capacity:
        return Capacity(
            id=new_id(),
            status="REQUESTED",
            provisioner=self.settings.provisioner,
            cluster=environment.cluster,
            purpose="compute-environment",
            compute_environment=environment.name,
            cpu=kind.cpu,
            memory=kind.memory,
            requested_at=now,
        )


def _decide(environment: ComputeEnvironment, seen: Seen, scaling: Scaling | None) -> Plan:
    if environment.status == "DELETING":
        return _end(environment, seen)
    if environment.cluster in seen.gone_clusters:
        return Plan(name=environment.name, status="INVALID", reason=CLUSTER_GONE)
    if scaling is None:
        return Plan(name=environment.name, status="VALID", reason=HEALTHY)
    failure = seen.failures.get(environment.name)
    hosts = _hosts(environment, seen)
    launch = () if failure else scaling.launch
    vcpus = (sum(host.cpu for host in hosts) + sum(kind.cpu for kind in launch)) // 1024
    reason = f"A host could not be launched: {failure[1]}" if failure else HEALTHY
    return Plan(
        name=environment.name,
        status="VALID",
        launch=launch,
        release=scaling.release,
        reason=reason,
        desired_vcpus=vcpus,
    )


def _end(environment: ComputeEnvironment, seen: Seen) -> Plan:
    """Take the hosts away; gone when no job, no capacity and no registered host is left."""
    hosts = [host for host in seen.hosts if host.environment == environment.name]
    release = [host.capacity_id for host in hosts if host.status != "TERMINATING"]
    jobs, registered = seen.jobs.get(environment.name, 0), seen.registered.get(environment.cluster, 0)
    if not hosts and not jobs and not registered:
        return Plan(name=environment.name, ending=True, bury=True, reason=environment.status_reason)
    left = ((jobs, "unfinished jobs"), (len(hosts), "hosts to terminate"), (registered, "registered hosts"))
    waits = ", ".join(f"{count} {what}" for count, what in left if count)
    return Plan(name=environment.name, ending=True, release=() if jobs else release, reason=f"Waiting for {waits}")


def _changes(plan: Plan, environment: ComputeEnvironment) -> bool:
    if (
        (plan.status or environment.status) != environment.status
        or plan.bury
        or plan.launch
        or plan.release
        or plan.reason != environment.status_reason
    ):
        return True
    return plan.desired_vcpus is not None and plan.desired_vcpus != environment.desired_vcpus


def _fleet(environment: ComputeEnvironment, seen: Seen) -> Fleet:
    resources = environment.compute_resources
    minutes = (resources.get("scalingPolicy") or {}).get("minScaleDownDelayMinutes") or 0
    return Fleet(
        hosts=_hosts(environment, seen),
        minimum=resources.get("minvCpus") or 0,
        maximum=resources["maxvCpus"],
        types=allowed_types(resources.get("instanceTypes") or ()),
        idle_for=max(IDLE_FOR, timedelta(minutes=minutes)),
        grows=environment.state == "ENABLED" and environment.status != "DELETING",
    )


def _hosts(environment: ComputeEnvironment, seen: Seen) -> list[HostSeen]:
    """The environment's hosts that are up or coming; one that comes will be all free."""
    return [
        HostSeen(
            capacity_id=host.capacity_id,
            cpu=host.cpu,
            free_cpu=host.cpu if host.free_cpu is None else host.free_cpu,
            free_memory=host.memory if host.free_memory is None else host.free_memory,
            idle_since=None
            if host.busy or host.registered_at is None
            else max(host.registered_at, host.last_stopped_at or host.registered_at),
        )
        for host in seen.hosts
        if host.environment == environment.name and host.status != "TERMINATING"
    ]


def _demand(seen: Seen) -> list[Demand]:
    """The jobs that wait, the first in line first, with the environments of their queues.

    One that needs GPUs gets no host launched for it: those that are launched have none.
    """
    queues = {
        queue.name: Queue(id=queue.name, priority=queue.priority, compute_environments=queue.environments)
        for queue in seen.queues
        if queue.status != "DELETING"
    }
    jobs = [
        Job(id=one.id, queue=one.queue, cpu=one.cpu, memory=one.memory, created_at=one.created_at, index=one.index)
        for one in seen.runnable
        if not one.gpus
    ]
    return [
        Demand(cpu=job.cpu, memory=job.memory, environments=queues[job.queue].compute_environments)
        for job in order(queues.values(), jobs)
    ]


def _release(session: Session, capacity_id: str, now: datetime) -> None:
    """Let a host go, unless a task has come to it in the meantime: placement in the cluster waits for this."""
    capacity = session.get(Capacity, capacity_id, with_for_update=True)
    if capacity is None or capacity.status in ("TERMINATING", "TERMINATED"):
        return
    lock_cluster(session, capacity.cluster)
    instance = get_container_instance(session, capacity.container_instance_id or "")
    if instance is not None:
        if list_tasks_on(session, instance.id):
            return
        if instance.status == "ACTIVE":
            instance.advance("DRAINING", at=now, because="its compute environment does not need it")
    capacity.advance("TERMINATING", at=now, because="its compute environment does not need it")


def _bury(session: Session, environment: ComputeEnvironment, now: datetime) -> None:
    environment.advance("DELETED", at=now, because="nothing of it is left")
    cluster = get_cluster(session, environment.cluster)
    if cluster is not None and cluster.status == "ACTIVE":
        cluster.advance("INACTIVE", at=now, because="its compute environment was deleted")
    session.flush()
    session.delete(environment)
