"""What placement is told: hosts as they are, and asks for room on them.

Frozen values only. CPU is in units of 1/1024 vCPU, memory in MiB. ``free_*`` already has everything
subtracted that is reserved on the host, whether its task has started or not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

Port = tuple[int, str]
"""A host port and its protocol, ``(8080, "tcp")``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A container instance as the store saw it."""

    id: str
    registered_cpu: int
    registered_memory: int
    free_cpu: int
    free_memory: int
    ports: frozenset[Port] = frozenset()
    """Host ports in use or reserved by the operating system."""
    attributes: Mapping[str, str | None] = field(default_factory=dict)
    status: str = "ACTIVE"
    connected: bool = True
    tasks: int = 0
    """Tasks on the host that are not stopped."""
    groups: Mapping[str, int] = field(default_factory=dict)
    """Tasks on the host by group: ``{"service:web": 2}``."""
    free_addresses: int | None = None
    """Addresses left for tasks in ``awsvpc`` mode; None when they do not run out."""
    gpus: tuple[str, ...] = ()
    """Ids of the GPUs that no task holds, in the host's own order; a task gets whole devices."""
    resources: Mapping[str, int] = field(default_factory=dict)
    """What is left of the named resources that a host registered besides CPU, memory, ports and GPUs."""
    registered_gpus: int = 0
    registered_resources: Mapping[str, int] = field(default_factory=dict)
    instance_id: str = ""
    """``ec2InstanceId`` in the cluster query language."""
    agent_version: str = ""
    registered_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredAttribute:
    """An attribute that the host must have; with a value, exactly that value."""

    name: str
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A placement constraint: ``distinctInstance``, or ``memberOf`` with an expression."""

    type: str
    expression: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One link of a placement strategy: ``random``, ``spread`` or ``binpack`` over a field."""

    type: str
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Room for one task. An empty ``strategy`` means ECS's default for services: spread over availability
    zones, then over hosts; RunTask's default is ``(Strategy(type="random"),)``, which the caller passes."""

    id: str
    cpu: int
    memory: int
    ports: tuple[Port, ...] = ()
    attributes: tuple[RequiredAttribute, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    strategy: tuple[Strategy, ...] = ()
    group: str = ""
    address: bool = False
    """Needs an address of its own (``awsvpc``)."""
    gpus: int = 0
    """Whole devices, pinned to the task."""
    resources: tuple[tuple[str, int], ...] = ()
    """Amounts of named resources, by name."""
    image: str = ""
    """A name for what has to be on a host before the task starts; of equal hosts one that has it is taken."""
    queued: bool = False
    """One of many that wait and were put into order by ``pack_queue``: best fit over both dimensions then begins no
    host while one in use fits."""


Shape = tuple[object, ...]
"""Everything of an ask but its id: asks of one shape share one shortlist of hosts."""


def shape_of(ask: Ask) -> Shape:
    """The shape of an ask; equal for asks that any host treats alike."""
    return (
        ask.cpu,
        ask.memory,
        ask.ports,
        ask.attributes,
        ask.constraints,
        ask.strategy,
        ask.group,
        ask.address,
        ask.gpus,
        ask.resources,
        ask.image,
        ask.queued,
    )
