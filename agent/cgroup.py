"""The cgroup of a piece of capacity: one place on the host that bounds all of its containers together.

Works with version 1 and version 2 of the kernel's cgroups, for engines on this machine with the ``cgroupfs``
driver. Where it can't be made, ``CannotLimit`` says why, and each container is bounded by itself.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.runtime import EngineInfo

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
MIB = 1024 * 1024
CONTROLLERS = ("cpu", "memory")


class CannotLimit(Exception):
    """The cgroup can't be had; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """``cpu`` in units of 1/1024 vCPU, ``memory`` in MiB."""

    cpu: int
    memory: int


class Cgroup:
    """A cgroup under ``root``, named by a path such as ``/berth/capacity-1``."""

    def __init__(self, path: str, *, root: Path = ROOT) -> None:
        parts = [part for part in path.split("/") if part]
        if not parts or any(part in (".", "..") for part in parts):
            raise CannotLimit(f"{path!r} is not a path for a cgroup")
        self.path = "/" + "/".join(parts)
        self._relative = Path(*parts)
        self._root = root

    def create(self, limit: Limit, engine: EngineInfo) -> None:
        """Make it and set its limits, also when it is there already. Raises CannotLimit."""
        if not engine.local:
            raise CannotLimit("the container engine is on another machine")
        if engine.cgroup_driver not in ("", "cgroupfs"):
            raise CannotLimit(f"the engine's cgroup driver is {engine.cgroup_driver}")
        try:
            if (self._root / "cgroup.controllers").exists():
                self._create_v2(limit)
            else:
                self._create_v1(limit)
        except OSError as error:
            self.remove()
            raise CannotLimit(f"cgroup {self.path}: {error}") from error

    def remove(self) -> bool:
        """Remove it everywhere; False when containers still live in it."""
        gone = True
        for directory in self._directories():
            try:
                directory.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone

    def _create_v1(self, limit: Limit) -> None:
        for controller in CONTROLLERS:
            directory = self._root / controller / self._relative
            directory.mkdir(parents=True, exist_ok=True)
        cpu, memory = (self._root / controller / self._relative for controller in CONTROLLERS)
        (cpu / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (cpu / "cpu.cfs_quota_us").write_text(str(limit.cpu * PERIOD_US // 1024))
        (memory / "memory.limit_in_bytes").write_text(str(limit.memory * MIB))

    def _create_v2(self, limit: Limit) -> None:
        here = self._root
        for part in self._relative.parts:
            (here / "cgroup.subtree_control").write_text("".join(f"+{c} " for c in CONTROLLERS).strip())
            here /= part
            here.mkdir(exist_ok=True)
        (here / "cgroup.subtree_control").write_text("".join(f"+{c} " for c in CONTROLLERS).strip())
        (here / "cpu.max").write_text(f"{limit.cpu * PERIOD_US // 1024} {PERIOD_US}")
        (here / "memory.max").write_text(str(limit.memory * MIB))

    def _directories(self) -> list[Path]:
        if (self._root / "cgroup.controllers").exists():
            return [self._root / self._relative]
        with suppress(OSError):
            hierarchies = {path.resolve() for path in self._root.iterdir() if path.is_dir()}
            return [path / self._relative for path in sorted(hierarchies)]
        return []
