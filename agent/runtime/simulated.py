"""The simulated driver: a container engine in memory, on whatever clock it is given.

Nothing happens by itself: ``settle`` makes happen what is due by the clock. What a container does is its
``Program``, found by its image; engines go away and come back, and calls fail, when a test says so.
"""

import itertools
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from agent.runtime import (
    Cancelled,
    ContainerState,
    Details,
    EngineInfo,
    Event,
    Health,
    ImageMissing,
    ImageState,
    Kind,
    LogLine,
    NameTaken,
    NotFound,
    PortBinding,
    Refused,
    RegistryLogin,
    RuntimeTrouble,
    Sink,
    Status,
    Temporary,
    Usage,
)
from agent.runtime.simulated_images import Program, SimulatedImages
from agent.runtime.simulated_streams import Echo, Lines, Listening, stamp
from kit.clock import Clock

__all__ = ["Program", "SimulatedRuntime"]

FIRST_DYNAMIC_PORT = 49153
KILLED = 137
TERMINATED = 143


@dataclass(slots=True)
class _Box:
    state: ContainerState
    body: Mapping[str, Any]
    program: Program
    image_id: str
    log: list[LogLine] = field(default_factory=list)
    starts: int = 0
    files: dict[str, bytes] = field(default_factory=dict)


class SimulatedRuntime:
    """Containers, images, networks and volumes in dictionaries."""

    def __init__(self, *, clock: Clock, images: Mapping[str, Program] | None = None, cpus: int = 4) -> None:
        self._clock = clock
        self._cpus = cpus
        self._lock = threading.RLock()
        self._boxes: dict[str, _Box] = {}
        self._numbers = itertools.count(1)
        self._ports = itertools.count(FIRST_DYNAMIC_PORT)
        self._sinks: list[tuple[Mapping[str, str], Sink]] = []
        self._faults: dict[str, deque[RuntimeTrouble]] = {}
        self._networks: dict[str, str] = {}
        self._volumes: set[str] = set()
        self._away = False
        self.programs: dict[str, Program] = dict(images or {})
        self.registry: dict[str, tuple[str, Program]] = {}
        self.pulls: list[str] = []
        self._images = SimulatedImages(self.programs)

    # What tests do to it.

    def settle(self) -> None:
        """Make happen whatever is due by the clock: exits and first good health checks."""
        now = self._clock.now()
        with self._lock:
            for box in list(self._boxes.values()):
                if box.state.status is not Status.RUNNING or box.state.started_at is None:
                    continue
                lasted = now - box.state.started_at
                if box.program.lasts is not None and lasted >= box.program.lasts:
                    self._exit(box, box.program.exit_code, out_of_memory=box.program.out_of_memory)
                elif box.program.healthy_after is not None and lasted >= box.program.healthy_after:
                    self.set_health(box.state.id, Health.HEALTHY)

    def fail_next(self, call: str, trouble: RuntimeTrouble) -> None:
        """The next call of that name raises ``trouble``."""
        self._faults.setdefault(call, deque()).append(trouble)

    def go_away(self) -> None:
        """The engine stops answering; its containers run on."""
        self._away = True
        self._emit(Event(kind=Kind.LOST, labels={}))

    def come_back(self) -> None:
        self._away = False
        self._emit(Event(kind=Kind.BACK, labels={}))

    def exit(self, container: str, code: int) -> None:
        """The container's process ends by itself."""
        with self._lock:
            self._exit(self._box(container), code)

    def set_health(self, container: str, health: Health) -> None:
        with self._lock:
            box = self._box(container)
            if box.state.health is not health:
                box.state = replace(box.state, health=health)
                self._emit(self._event(box, Kind.HEALTH, health))

    def starts_of(self, container: str) -> int:
        """How often the container's process was started."""
        return self._box(container).starts

    def body_of(self, container: str) -> Mapping[str, Any]:
        """What the container was created with: its create request."""
        return self._box(container).body

    def files_of(self, container: str) -> Mapping[str, bytes]:
        """The tars that were unpacked in the container, by directory."""
        return self._box(container).files

    def names(self) -> tuple[str, ...]:
        return tuple(box.state.name for box in self._boxes.values())

    # The runtime.

    def info(self) -> EngineInfo:
        self._answer("info")
        return EngineInfo(version="simulated", architecture="x86_64", cpus=self._cpus, memory_mib=8192, local=False)

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        self._answer("create")
        with self._lock:
            image = str(body["Image"])
            if image not in self.programs:
                raise ImageMissing(f"No such image: {image}")
            if any(box.state.name == name for box in self._boxes.values()):
                raise NameTaken(f"the container name {name} is already in use")
            identity = f"{next(self._numbers):064x}"
            state = ContainerState(id=identity, name=name, labels=dict(body.get("Labels") or {}), status=Status.CREATED)
            self._boxes[identity] = _Box(state, body, self.programs[image], self._images.find(image).id)
            return identity

    def start(self, container: str) -> None:
        self._answer("start")
        with self._lock:
            box = self._box(container)
            if box.state.status is Status.RUNNING:
                return
            if box.program.start_error:
                box.state = replace(box.state, error=box.program.start_error, exit_code=127)
                raise Refused(box.program.start_error)
            self._check_network(box)
            now = self._clock.now()
            box.starts += 1
            box.state = replace(
                box.state,
                status=Status.RUNNING,
                exit_code=None,
                oom_killed=False,
                finished_at=None,
                started_at=now,
                ports=self._publish(box),
                health=Health.UNKNOWN if box.body.get("Healthcheck") else None,
                address=self._address(box),
            )
            box.log += [LogLine(at=stamp(now, n), text=t.encode()) for n, t in enumerate(box.program.output)]

    def stop(self, container: str, grace: timedelta) -> None:
        self._answer("stop")
        with self._lock:
            box = self._box(container)
            if box.state.status is Status.RUNNING:
                self._exit(box, TERMINATED if box.program.heeds_term and grace else KILLED)

    def kill(self, container: str) -> None:
        self._answer("kill")
        with self._lock:
            box = self._box(container)
            if box.state.status is Status.RUNNING:
                self._exit(box, KILLED)

    def remove(self, container: str) -> None:
        self._answer("remove")
        with self._lock:
            try:
                box = self._box(container)
            except NotFound:
                return
            if box.state.status is Status.RUNNING:
                self._exit(box, KILLED)
            del self._boxes[box.state.id]

    def put(self, container: str, directory: str, tar: bytes) -> None:
        self._answer("put")
        with self._lock:
            self._box(container).files[directory] = tar

    def inspect(self, container: str) -> ContainerState:
        self._answer("inspect")
        with self._lock:
            return self._box(container).state

    def list(self, labels: Mapping[str, str]) -> tuple[ContainerState, ...]:
        self._answer("list")
        with self._lock:
            return tuple(b.state for b in self._boxes.values() if labels.items() <= b.state.labels.items())

    def written(self, labels: Mapping[str, str]) -> int:
        self._answer("written")
        boxes = list(self._boxes.values())
        return sum(box.program.writes for box in boxes if box.starts and labels.items() <= box.state.labels.items())

    def pull(self, image: str, login: RegistryLogin | None, cancelled: Cancelled) -> str | None:
        self._answer("pull")
        if image not in self.registry:
            raise Refused(f"manifest for {image} not found: manifest unknown")
        digest, program = self.registry[image]
        with self._lock:
            self.pulls.append(image)
            self._images.pulled(image, digest, program)
        return digest

    def has_image(self, image: str) -> bool:
        self._answer("has_image")
        return image in self.programs

    def image(self, name: str) -> ImageState:
        self._answer("image")
        with self._lock:
            return self._images.find(name)

    def images_in_use(self) -> frozenset[str]:
        self._answer("images_in_use")
        with self._lock:
            return frozenset(box.image_id for box in self._boxes.values())

    def remove_image(self, name: str) -> None:
        self._answer("remove_image")
        with self._lock:
            self._images.remove(name, {box.image_id for box in self._boxes.values()})

    def import_image(self, image: str, tar: bytes, changes: tuple[str, ...]) -> None:
        self._answer("import_image")
        self.programs[image] = Program()

    def events(self, labels: Mapping[str, str], sink: Sink) -> Listening:
        entry = (dict(labels), sink)
        self._sinks.append(entry)
        return Listening(self._sinks, entry)

    def logs(self, container: str, *, since: str, follow: bool, tty: bool) -> Lines:
        self._answer("logs")
        return Lines([line for line in self._box(container).log if line.at >= since])

    def execute(self, container: str, command: Sequence[str]) -> Echo:
        """A command that says its own words, and then again whatever it is told."""
        self._answer("execute")
        if self._box(container).state.status is not Status.RUNNING:
            raise Refused(f"container {container} is not running")
        return Echo(" ".join(command).encode())

    def end_executed(self, container: str) -> None:
        """An agent's commands end with it here."""
        self._answer("end_executed")

    def stats(self, container: str) -> Usage:
        self._answer("stats")
        state = self._box(container).state
        ran = (state.finished_at or self._clock.now()) - (state.started_at or self._clock.now())
        return Usage(cpu_ns=int(ran.total_seconds() * 1e8), memory_bytes=16 * 1024 * 1024)

    def statistics(self, container: str) -> Mapping[str, Any]:
        used = self.stats(container)
        return {
            "read": f"{self._clock.now():%Y-%m-%dT%H:%M:%S.%fZ}",
            "cpu_stats": {"cpu_usage": {"total_usage": used.cpu_ns}},
            "precpu_stats": {},
            "memory_stats": {"usage": used.memory_bytes},
            "networks": {"eth0": {"rx_bytes": used.rx_bytes, "tx_bytes": used.tx_bytes}},
        }

    def details(self, container: str) -> Details:
        self._answer("details")
        box = self._box(container)
        address = self._address(box)
        return Details(
            image_id=f"sha256:{box.state.id}",
            created_at=box.state.started_at,
            addresses={"bridge": address} if address else {},
        )

    def network(self, name: str, cidr: str) -> str:
        self._answer("network")
        return self._networks.setdefault(name, cidr)

    def remove_network(self, name: str) -> bool:
        self._answer("remove_network")
        if any(self._joins(box, name) for box in self._boxes.values() if box.state.status is Status.RUNNING):
            return False
        self._networks.pop(name, None)
        return True

    def create_volume(self, name: str, driver: str, options: Mapping[str, str], labels: Mapping[str, str]) -> None:
        self._answer("create_volume")
        self._volumes.add(name)

    def has_volume(self, name: str) -> bool:
        self._answer("has_volume")
        return name in self._volumes

    def volume_path(self, name: str) -> str:
        self._answer("volume_path")
        if name not in self._volumes:
            raise NotFound(f"No such volume: {name}")
        return f"/volumes/{name}"

    def remove_volume(self, name: str) -> None:
        self._answer("remove_volume")
        self._volumes.discard(name)

    def close(self) -> None:
        pass

    def _answer(self, call: str) -> None:
        if faults := self._faults.get(call):
            raise faults.popleft()
        if self._away:
            raise Temporary("the simulated engine is away")

    def _box(self, container: str) -> _Box:
        for box in self._boxes.values():
            if container in (box.state.id, box.state.name):
                return box
        raise NotFound(f"No such container: {container}")

    def _exit(self, box: _Box, code: int, *, out_of_memory: bool = False) -> None:
        box.state = replace(
            box.state,
            status=Status.EXITED,
            exit_code=KILLED if out_of_memory else code,
            oom_killed=out_of_memory,
            finished_at=self._clock.now(),
            ports=(),
            address="",
        )
        self._emit(self._event(box, Kind.DIED))

    def _check_network(self, box: _Box) -> None:
        mode = str((box.body.get("HostConfig") or {}).get("NetworkMode", ""))
        if mode.startswith("container:"):
            owner = self._box(mode.removeprefix("container:"))
            if owner.state.status is not Status.RUNNING:
                raise Refused(f"cannot join network of a non running container: {owner.state.name}")
        elif mode not in ("", "default", "bridge", "host", "none") and mode not in self._networks:
            raise NotFound(f"network {mode} not found")

    def _joins(self, box: _Box, network: str) -> bool:
        return bool((box.body.get("HostConfig") or {}).get("NetworkMode") == network)

    def _address(self, box: _Box) -> str:
        mode = str((box.body.get("HostConfig") or {}).get("NetworkMode", ""))
        return f"172.17.0.{int(box.state.id, 16) + 1}" if mode in ("", "default", "bridge") else ""

    def _publish(self, box: _Box) -> tuple[PortBinding, ...]:
        wanted = (box.body.get("HostConfig") or {}).get("PortBindings") or {}
        taken = {p.host_port for b in self._boxes.values() for p in b.state.ports}
        ports = []
        for where, bindings in wanted.items():
            number, _, protocol = where.partition("/")
            for binding in bindings:
                port = int(binding.get("HostPort") or 0)
                if port in taken:
                    raise Refused(f"Bind for 0.0.0.0:{port} failed: port is already allocated")
                ports.append(
                    PortBinding(container_port=int(number), host_port=port or next(self._ports), protocol=protocol)
                )
        return tuple(ports)

    def _event(self, box: _Box, kind: Kind, health: Health | None = None) -> Event:
        return Event(kind=kind, container_id=box.state.id, labels=box.state.labels, health=health)

    def _emit(self, event: Event) -> None:
        for labels, sink in list(self._sinks):
            if (not event.container_id or labels.items() <= event.labels.items()) and (
                not self._away or event.kind is Kind.LOST
            ):
                sink(event)
