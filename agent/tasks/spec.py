"""What a task asks for, as frozen values: the engine's whole view of a payload."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from agent.runtime import RegistryLogin
from agent.tasks.restarting import RestartPolicy
from agent.tasks.roles import Role
from agent.tasks.routers import RouterSpec
from agent.tasks.secret_refs import SecretRef

DEFAULT_STOP = timedelta(seconds=30)


class Desired(StrEnum):
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class Condition(StrEnum):
    START = "START"
    COMPLETE = "COMPLETE"
    SUCCESS = "SUCCESS"
    HEALTHY = "HEALTHY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    container: str
    condition: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class PortMapping:
    """``host_port`` 0 means: any free one. A range is ``count`` ports in a row, on the host in a row as well."""

    container_port: int
    host_port: int
    protocol: str
    count: int = 1

    @property
    def ports(self) -> range:
        """The container's ports."""
        return range(self.container_port, self.container_port + self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPoint:
    source_volume: str
    container_path: str
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """``source_path`` empty on a host volume means: a directory of the task's own."""

    name: str
    type: str
    source_path: str = ""
    scope: str = "task"
    autoprovision: bool = True
    driver: str = "local"
    driver_options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A task's own network address, as the control plane assigned it."""

    address: str
    mac: str
    gateway: str
    private_dns: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAuth:
    """Where to get a pull login: from ECR (of ``registry_id``), or from a ``secret``; ``login`` once that was read.

    Where the execution role is to ask (``by_role``), each launch puts that ``role`` in, with its newest keys.
    """

    registry_id: str = ""
    by_role: bool = False
    role: Role | None = None
    secret: str = ""
    login: RegistryLogin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    name: str
    image: str
    arn: str = ""
    essential: bool = True
    internal: bool = False
    command: tuple[str, ...] = ()
    entry_point: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_files: tuple[str, ...] = ()
    secrets: tuple[SecretRef, ...] = ()
    cpu: int = 0
    memory: int = 0
    links: tuple[str, ...] = ()
    port_mappings: tuple[PortMapping, ...] = ()
    gpus: tuple[str, ...] = ()
    mount_points: tuple[MountPoint, ...] = ()
    volumes_from: tuple[tuple[str, bool], ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    host_config: Mapping[str, Any] = field(default_factory=dict)
    privileged: bool = False
    registry_auth: RegistryAuth | None = None
    start_timeout: timedelta | None = None
    stop_timeout: timedelta = DEFAULT_STOP
    restart: RestartPolicy | None = None
    router: RouterSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """``cpu`` is in vCPU, ``memory`` in MiB; 0 means that the task as a whole has no limit, of ``storage_gib`` too.

    The keys of the ``execution_role`` are never on the disk: after a restart, until they come by a message of their
    own, only ``has_execution_role`` tells of it.
    """

    arn: str
    cluster: str
    family: str = ""
    version: str = ""
    desired: Desired = Desired.RUNNING
    seq: int = 0
    cpu: float = 0
    memory: int = 0
    storage_gib: int = 0
    network_mode: str = "bridge"
    launch_type: str = ""
    service: str = ""
    group: str = ""
    pid_mode: str = ""
    ipc_mode: str = ""
    interface: Interface | None = None
    volumes: tuple[Volume, ...] = ()
    containers: tuple[ContainerSpec, ...] = ()
    role: Role | None = None
    has_execution_role: bool = False
    execution_role: Role | None = None

    @property
    def id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rsplit("/", 1)[-1]


def edges(container: ContainerSpec) -> tuple[Dependency, ...]:
    """Everything a container waits for: what it says, and what links and shared volumes imply."""
    implied = [link.split(":", 1)[0] for link in container.links] + [name for name, _ in container.volumes_from]
    said = {edge.container for edge in container.depends_on}
    return container.depends_on + tuple(
        Dependency(container=name, condition=Condition.START) for name in dict.fromkeys(implied) if name not in said
    )
