"""The runtime family: what the agent asks of a container engine, in the engine's own vocabulary.

A driver translates its engine's exceptions once, into ``Temporary``, ``NotFound`` or ``Refused``. Every call
may be repeated: starting a running container, stopping a stopped one and removing an absent one all succeed.
Drivers: ``docker`` (a real engine) and ``simulated`` (in memory, on a manual clock).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol


class RuntimeTrouble(Exception):
    """Something the engine could not do. The text is the engine's own."""


class Temporary(RuntimeTrouble):
    """The engine is away or overloaded: the same call may succeed later."""


class NotFound(RuntimeTrouble):
    """The container, network or volume does not exist."""


class ImageMissing(NotFound):
    """The image is not on this host."""


class Refused(RuntimeTrouble):
    """The engine understood and said no; repeating the call will not help."""


class Damaged(Refused):
    """What the engine has of the image on its disk is not what it was: a layer is gone or can't be read."""


class Hindrance(StrEnum):
    """Why a registry could not give an image now."""

    ABSENT = "absent"
    """Nobody is reached under its name."""
    ILL = "ill"
    """It is there and in trouble, or what it sent arrived broken."""
    LOGIN = "login"
    """It does not take this login."""
    FULL = "full"
    """There is no room for the image on the engine's disk."""


class Hindered(RuntimeTrouble):
    """The image can't be pulled now; the same pull may succeed later."""

    def __init__(self, text: str, hindrance: Hindrance) -> None:
        super().__init__(text)
        self.hindrance = hindrance


class NameTaken(Refused):
    """A container of that name exists already."""


class Status(StrEnum):
    """Where a container is, as far as its process is concerned."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class Health(StrEnum):
    """ECS's words for the result of a container's own health check."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortBinding:
    """One published port: where on the host, and which port inside; or ``count`` of them in a row."""

    container_port: int
    host_port: int
    protocol: str = "tcp"
    bind_ip: str = "0.0.0.0"  # noqa: S104
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """What an inspection saw. ``error`` is why a start failed; ``exit_code`` is set once it has exited.

    ``address`` is the one on the engine's own bridge, while it runs there.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    status: Status
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    health: Health | None = None
    ports: tuple[PortBinding, ...] = ()
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A directory of a container and what of the host is there."""

    source: str
    destination: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What an inspection can tell besides, for whoever asks for it: ``pid`` is 0 where no process runs.

    ``network_mode`` is in the engine's words (``host``, ``container:<id>``, a network's name); ``addresses`` are those
    of the engine's networks, by the network's name.
    """

    name: str = ""
    pid: int = 0
    network_mode: str = ""
    image_id: str = ""
    created_at: datetime | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    name_servers: tuple[str, ...] = ()


class Kind(StrEnum):
    """What can happen to a container, or to the stream of events itself."""

    DIED = "died"
    HEALTH = "health"
    LOST = "lost"
    BACK = "back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One happening. LOST and BACK speak of the engine and carry no container; after BACK, look at everything."""

    kind: Kind
    container_id: str = ""
    labels: Mapping[str, str]
    health: Health | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line as the container wrote it, without its end.

    ``at`` is the engine's own instant, to the nanosecond; ``stream`` is 1 for the output and 2 for errors.
    """

    at: str
    text: bytes
    stream: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Counters since the container's start (``cpu_ns``, bytes moved) and memory in use now (bytes)."""

    cpu_ns: int
    memory_bytes: int
    rx_bytes: int = 0
    tx_bytes: int = 0
    read_bytes: int = 0
    write_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """The engine and its machine: version, architecture in Docker's words, cores, MiB, how it does cgroups, and the
    directory that it keeps its data in."""

    version: str
    architecture: str
    cpus: int
    memory_mib: int
    cgroup_driver: str = ""
    local: bool = True
    root: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageState:
    """An image on the engine: ``names`` are all it is known by, tags and digests (``repository@sha256:…``)."""

    id: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryLogin:
    """What a registry wants to see before it lets an image be pulled."""

    username: str
    password: str
    server: str

    def __repr__(self) -> str:
        return f"RegistryLogin({self.username}@{self.server})"


class Subscription(Protocol):
    """A running stream of events."""

    def close(self) -> None: ...


class LogStream(Protocol):
    """A container's log being read; iterating ends with the container's end (or at once, when not following)."""

    def __iter__(self) -> Iterator[LogLine]: ...

    def close(self) -> None: ...


class ExecStream(Protocol):
    """A command that runs in a container beside its process, with a terminal."""

    def read(self) -> bytes:
        """What it prints, as it comes; empty at its end."""
        ...

    def write(self, data: bytes) -> None: ...

    def resize(self, cols: int, rows: int) -> None: ...

    def exit_code(self) -> int:
        """Once it has ended."""
        ...

    def close(self) -> None:
        """End it, if it still runs. May be called twice, and on any thread."""
        ...


Sink = Callable[[Event], None]
Cancelled = Callable[[], bool]


class Runtime(Protocol):
    """A container engine. ``body`` is the engine's create request (``Image``, ``Env``, ``HostConfig``, …)."""

    def info(self) -> EngineInfo: ...

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        """Create a container and return its id. Raises ImageMissing, NameTaken, Refused, Temporary."""
        ...

    def start(self, container: str) -> None: ...

    def stop(self, container: str, grace: timedelta) -> None:
        """SIGTERM (or the image's stop signal), and SIGKILL when ``grace`` has passed. Returns once it has stopped."""
        ...

    def kill(self, container: str) -> None: ...

    def remove(self, container: str) -> None:
        """Remove the container, its log and its anonymous volumes, killing it when it still runs."""
        ...

    def put(self, container: str, directory: str, tar: bytes) -> None:
        """Unpack a tar in a directory of a container, which may not have been started yet."""
        ...

    def inspect(self, container: str) -> ContainerState:
        """By id or by name."""
        ...

    def list(self, labels: Mapping[str, str]) -> tuple[ContainerState, ...]:
        """Every container, running or not, that carries all of ``labels``, fully inspected."""
        ...

    def written(self, labels: Mapping[str, str]) -> int:
        """How many bytes the containers with these labels have written to their own layers; it may take long."""
        ...

    def pull(self, image: str, login: RegistryLogin | None, cancelled: Cancelled) -> str | None:
        """Fetch an image; the answer is its digest when the registry told one. Gives up when ``cancelled()``.

        Raises Hindered for what may pass, Refused and NotFound for what won't, Temporary when the engine is away.
        """
        ...

    def has_image(self, image: str) -> bool: ...

    def image(self, name: str) -> ImageState:
        """The image of that name or id. Raises ImageMissing, Damaged."""
        ...

    def images_in_use(self) -> frozenset[str]:
        """The ids of the images that any container was made of, running or not, whoever made it."""
        ...

    def remove_image(self, name: str) -> None:
        """Take a name from an image, and with its last one the image; by its id, an image that has no other names.

        Raises Refused while a container uses it or others have names for it.
        """
        ...

    def import_image(self, image: str, tar: bytes, changes: tuple[str, ...]) -> None:
        """Make an image of one layer from a tar, with Dockerfile ``changes`` such as ``ENTRYPOINT ["/pause"]``."""
        ...

    def events(self, labels: Mapping[str, str], sink: Sink) -> Subscription:
        """Call ``sink`` for everything that happens to containers with ``labels``, until closed."""
        ...

    def logs(self, container: str, *, since: str, follow: bool, tty: bool) -> LogStream:
        """Read a log from the instant ``since`` (a ``LogLine.at``, or empty for the beginning), inclusive."""
        ...

    def execute(self, container: str, command: Sequence[str]) -> ExecStream:
        """Run a command in a running container. Raises NotFound, Refused, Temporary."""
        ...

    def end_executed(self, container: str) -> None:
        """End the commands of ``execute`` that an agent before this one has left running there, where it can."""
        ...

    def stats(self, container: str) -> Usage: ...

    def statistics(self, container: str) -> Mapping[str, Any]:
        """One sample in Docker's own form (``cpu_stats``, ``memory_stats``, ``networks``, …)."""
        ...

    def details(self, container: str) -> Details: ...

    def network(self, name: str, cidr: str) -> str:
        """Make sure the bridge network exists and return the CIDR it really has."""
        ...

    def remove_network(self, name: str) -> bool:
        """Remove a network nobody uses; say whether it is gone."""
        ...

    def create_volume(self, name: str, driver: str, options: Mapping[str, str], labels: Mapping[str, str]) -> None: ...

    def has_volume(self, name: str) -> bool: ...

    def volume_path(self, name: str) -> str:
        """Where the engine's machine has the volume's files."""
        ...

    def remove_volume(self, name: str) -> None: ...

    def close(self) -> None:
        """Let go of connections. The runtime may be used again; it connects anew."""
        ...
