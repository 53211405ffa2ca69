"""The kernel's own files about a running container, where the engine's processes are this machine's.

The engine takes a second and much work to say what a container uses; these files say it at once. Works with versions 1
and 2 of cgroups; where the files can't be seen, the answer is None, and the engine is to be asked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.runtime import Details

CGROUPS = Path("/sys/fs/cgroup")
PROCESSES = Path("/proc")
SHARED = "container:"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a running container's files are: ``cgroups`` by controller, with version 2 the one of all.

    ``seen`` is what ``process`` told of its first process, to know that by; ``network`` is None where what moves in
    that one's namespace is not the container's own, or its task's.
    """

    name: str
    seen: bytes
    process: Path
    network: Path | None
    cgroups: Mapping[str, Path]
    unified: bool

    def content(self, controller: str, name: str) -> bytes:
        """A file of a controller's. Raises OSError."""
        return content(self.cgroups["" if self.unified else controller] / name)


class CgroupFiles:
    """``details`` asks the engine, once for every start of a container. Safe on any thread."""

    def __init__(
        self, details: Callable[[str], Details], *, cgroups: Path = CGROUPS, processes: Path = PROCESSES
    ) -> None:
        self._details = details
        self._cgroups = cgroups
        self._processes = processes
        # None for those that run where this process does not see them.
        self._places: dict[str, Place | None] = {}

    def read(self, container: str, reader: Callable[[Place], T]) -> T | None:
        """What the reader makes of the files of a container, known by its id. Raises RuntimeTrouble."""
        try:
            place = self._places[container]
        except KeyError:
            return self._found(container, reader)
        if place is None:
            return None
        try:
            return _read(place, reader)
        except (OSError, LookupError, ValueError):
            # It has ended, or was started again and has another first process.
            return self._found(container, reader)

    def forget(self, container: str) -> None:
        """The container is gone."""
        self._places.pop(container, None)

    def _found(self, container: str, reader: Callable[[Place], T]) -> T | None:
        self.forget(container)
        details = self._details(container)
        if not details.pid:
            return None
        try:
            place = self._place(container, details)
            self._places[container] = place
            return _read(place, reader) if place else None
        except (OSError, LookupError, ValueError):
            # It may just be ending; the next time tells.
            return None

    def _place(self, container: str, details: Details) -> Place | None:
        process = self._processes / str(details.pid)
        seen = content(process / "cgroup")
        if container.encode() not in seen:
            return None
        unified = (self._cgroups / "cgroup.controllers").exists()
        places = _paths(seen.decode())
        place = Place(
            name=details.name,
            seen=seen,
            process=process / "cgroup",
            network=process / "net/dev" if self._counts_network(details) else None,
            cgroups={name: self._cgroups / name / path for name, path in places.items()},
            unified=unified,
        )
        return place if place.cgroups["" if unified else "memory"].is_dir() else None

    def _counts_network(self, details: Details) -> bool:
        mode = details.network_mode
        if mode.startswith(SHARED):
            mode = self._details(mode.removeprefix(SHARED)).network_mode
        return mode not in ("host", "none")


def content(path: Path) -> bytes:
    """A file of the kernel's, at once. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        return file.readall()


def _read(place: Place, reader: Callable[[Place], T]) -> T:
    """Raises OSError when the container has not the same first process any more."""
    if content(place.process) != place.seen:
        raise ProcessLookupError(str(place.process))
    return reader(place)


def _paths(seen: str) -> dict[str, str]:
    """A process's places by controller, relative to where each is mounted; version 2 has no controller's name."""
    found = {}
    for line in seen.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path.lstrip("/")
    return found
