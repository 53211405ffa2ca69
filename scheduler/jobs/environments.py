"""Environments: how compute environments look to queueing, and whether one could ever hold a job."""

from collections.abc import Iterable, Mapping
from enum import Enum, auto

from sqlalchemy import func, select

from scheduler.jobs.instance_types import InstanceType, allowed_types, smallest_fitting
from scheduler.queueing import ComputeEnvironment as Seen
from state.capacities import Capacity
from state.compute_environments import ComputeEnvironment
from state.container_instances import ContainerInstance
from state.devices import registered_gpus
from state.store import Session


class Room(Enum):
    """Whether an environment's hosts, now or to come, are large enough for a job."""

    NOW_OR_LATER = auto()
    NEVER = auto()


def see(environments: Iterable[ComputeEnvironment], used: Mapping[str, int]) -> list[Seen]:
    """The environments as ``scheduler.queueing`` wants them."""
    return [
        Seen(
            id=environment.name,
            max_cpu=max_cpu(environment),
            used_cpu=used.get(environment.name, 0),
            state=environment.state,
            status=environment.status,
        )
        for environment in environments
    ]


def max_cpu(environment: ComputeEnvironment) -> int | None:
    """maxvCpus in CPU units; None for an UNMANAGED environment."""
    if environment.kind == "UNMANAGED":
        return None
    return int(environment.compute_resources["maxvCpus"]) * 1024


def host_type(environment: ComputeEnvironment, cpu: int, memory: int) -> InstanceType | None:
    """The type of host that a managed EC2 environment launches for a job of this size; None when none would do."""
    bound = max_cpu(environment) or 0
    types = allowed_types(environment.compute_resources.get("instanceTypes") or ())
    return smallest_fitting((kind for kind in types if kind.cpu <= bound), cpu, memory)


def could_hold(session: Session, environment: ComputeEnvironment, cpu: int, memory: int, gpus: int = 0) -> Room:
    """Whether a host of the environment, were it empty, could hold the job.

    An UNMANAGED environment without hosts may yet get one that can. Hosts that a managed one launches have no GPU.
    """
    if environment.kind == "EC2":
        return Room.NOW_OR_LATER if not gpus and host_type(environment, cpu, memory) else Room.NEVER
    columns = (ContainerInstance.registered_cpu, ContainerInstance.registered_memory, ContainerInstance.resources)
    hosts = session.execute(
        select(*columns).where(
            ContainerInstance.cluster == environment.cluster, ContainerInstance.status.in_(("ACTIVE", "DRAINING"))
        )
    ).all()
    fits = any(
        host.registered_cpu >= cpu
        and host.registered_memory >= memory
        and len(registered_gpus(host.resources) if gpus else ()) >= gpus
        for host in hosts
    )
    return Room.NOW_OR_LATER if fits or not hosts else Room.NEVER


def can_grow(session: Session, environment: ComputeEnvironment, cpu: int, memory: int, gpus: int = 0) -> bool:
    """Whether the environment is getting, or may still launch, a host that holds the job."""
    if environment.kind != "EC2" or gpus:
        return False
    kind = host_type(environment, cpu, memory)
    if kind is None:
        return False
    coming = session.scalar(
        select(func.count()).where(
            Capacity.compute_environment == environment.name,
            Capacity.status.in_(("REQUESTED", "LAUNCHED")),
            Capacity.cpu >= cpu,
        )
    )
    have = session.scalar(
        select(func.coalesce(func.sum(Capacity.cpu), 0)).where(
            Capacity.compute_environment == environment.name, Capacity.status != "TERMINATED"
        )
    )
    return bool(coming) or int(have or 0) + kind.cpu <= (max_cpu(environment) or 0)
