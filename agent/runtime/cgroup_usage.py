"""What containers use, read from the kernel's own files where the engine's processes are this machine's.

The engine takes a second and much work to answer the same question, for each container. The numbers are counted as it
counts them: memory without the page cache that can be given back, bytes of the interfaces that the engine made. Works
with versions 1 and 2 of cgroups; where the files can't be seen, the answer is None, and the engine is to be asked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.runtime import Details, Usage

CGROUPS = Path("/sys/fs/cgroup")
PROCESSES = Path("/proc")
# What the engine calls the interfaces that it puts into containers; the agent's own cable has another name.
INTERFACE = b"eth"
SHARED = "container:"
IO_V1 = ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A running container's files. ``cgroup`` names the places of its first process, to know that by."""

    cgroup: bytes
    process: Path
    cpu: Path
    memory: Path
    cache: Path
    io: Path | None
    network: Path | None


class CgroupUsage:
    """``details`` asks the engine, once for every start of a container. Safe on any thread."""

    def __init__(
        self, details: Callable[[str], Details], *, cgroups: Path = CGROUPS, processes: Path = PROCESSES
    ) -> None:
        self._details = details
        self._cgroups = cgroups
        self._processes = processes
        # None for those that run where this process does not see them.
        self._places: dict[str, _Place | None] = {}

    def of(self, container: str) -> Usage | None:
        """What a container, known by its id, has used. Raises RuntimeTrouble."""
        try:
            place = self._places[container]
        except KeyError:
            return self._found(container)
        if place is None:
            return None
        try:
            return _read(place)
        except (OSError, ValueError):
            # It has ended, or was started again and has another first process.
            return self._found(container)

    def forget(self, container: str) -> None:
        """The container is gone."""
        self._places.pop(container, None)

    def _found(self, container: str) -> Usage | None:
        self.forget(container)
        details = self._details(container)
        if not details.pid:
            return None
        try:
            place = self._place(container, details)
            self._places[container] = place
            return _read(place) if place else None
        except (OSError, ValueError):
            # It may just be ending; the next time tells.
            return None

    def _place(self, container: str, details: Details) -> _Place | None:
        process = self._processes / str(details.pid)
        cgroup = _content(process / "cgroup")
        if container.encode() not in cgroup:
            return None
        network = process / "net/dev" if self._counts_network(details) else None
        where = _paths(cgroup.decode())
        if (self._cgroups / "cgroup.controllers").exists():
            directory = self._cgroups / where.get("", "")
            found = _Place(
                cgroup=cgroup,
                process=process / "cgroup",
                cpu=directory / "cpu.stat",
                memory=directory / "memory.current",
                cache=directory / "memory.stat",
                io=directory / "io.stat",
                network=network,
            )
        else:
            memory = self._cgroups / "memory" / where.get("memory", "")
            io = self._cgroups / "blkio" / where.get("blkio", "")
            found = _Place(
                cgroup=cgroup,
                process=process / "cgroup",
                cpu=self._cgroups / "cpuacct" / where.get("cpuacct", "") / "cpuacct.usage",
                memory=memory / "memory.usage_in_bytes",
                cache=memory / "memory.stat",
                io=next((io / name for name in IO_V1 if (io / name).exists()), None),
                network=network,
            )
        return found if found.cpu.exists() and found.memory.exists() else None

    def _counts_network(self, details: Details) -> bool:
        """Whether what moves in the process's network namespace is the container's own, or its task's."""
        mode = details.network_mode
        if mode.startswith(SHARED):
            mode = self._details(mode.removeprefix(SHARED)).network_mode
        return mode not in ("host", "none")


def _read(place: _Place) -> Usage:
    """Raises OSError when the container has not the same first process any more."""
    if _content(place.process) != place.cgroup:
        raise ProcessLookupError(str(place.process))
    received, sent = _network(_content(place.network)) if place.network else (0, 0)
    read, written = _io(_content(place.io)) if place.io else (0, 0)
    cache = _content(place.cache)
    in_use = int(_content(place.memory))
    cpu = _content(place.cpu)
    return Usage(
        cpu_ns=_field(cpu, b"usage_usec") * 1000 if cpu.startswith(b"usage_usec") else int(cpu),
        memory_bytes=max(0, in_use - (_field(cache, b"total_inactive_file") or _field(cache, b"inactive_file"))),
        rx_bytes=received,
        tx_bytes=sent,
        read_bytes=read,
        write_bytes=written,
    )


def _content(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file.readall()


def _paths(cgroup: str) -> dict[str, str]:
    """A process's places by controller, relative to where each is mounted; version 2 has no controller's name."""
    found = {}
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path.lstrip("/")
    return found


def _field(text: bytes, name: bytes) -> int:
    """A number behind its name at the start of a line; 0 where there is none."""
    for line_start in (b"\n" + name + b" ", name + b" "):
        at = text.find(line_start)
        if at == 0 or (at > 0 and line_start.startswith(b"\n")):
            begin = at + len(line_start)
            end = text.find(b"\n", begin)
            return int(text[begin : end if end > 0 else None])
    return 0


def _network(text: bytes) -> tuple[int, int]:
    received = sent = 0
    for line in text.splitlines():
        name, colon, numbers = line.strip().partition(b":")
        if colon and name.startswith(INTERFACE):
            values = numbers.split()
            received += int(values[0])
            sent += int(values[8])
    return received, sent


def _io(text: bytes) -> tuple[int, int]:
    """Bytes read and written, of ``8:0 Read 512`` (version 1) and ``8:0 rbytes=512 wbytes=0 …`` (version 2)."""
    read = written = 0
    for line in text.splitlines():
        words = line.split()
        for word in words[1:]:
            key, _, value = word.partition(b"=")
            if key == b"rbytes":
                read += int(value)
            elif key == b"wbytes":
                written += int(value)
        if len(words) == 3 and words[1] == b"Read":
            read += int(words[2])
        elif len(words) == 3 and words[1] == b"Write":
            written += int(words[2])
    return read, written
