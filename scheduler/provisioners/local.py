"""Capacity on this machine: an agent of its own per host, on the local engine, its containers in one cgroup.

A capacity is the agent process whose command line names the capacity's folder; the folder is made before the
process, and everything of the capacity is found again through it after any crash.
"""

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kit.files import append_private
from kit.folders import make_folder
from kit.processes import await_command_line, find_processes, python_module
from kit.settings import Settings, agent_environment
from scheduler.provisioners import CannotLaunch, Wanted


class LocalProvisioner:
    """Starts agents as processes. ``endpoint`` is where they report, ``environment`` carries their access
    key, ``options`` are further words of their command line."""

    def __init__(
        self, folder: Path, *, endpoint: str, environment: Mapping[str, str], options: Sequence[str] = ()
    ) -> None:
        self._folder = folder
        self._endpoint = endpoint
        self._environment = dict(environment)
        self._options = tuple(options)
        # Agents started here, to be reaped when they end; whether one lives is asked of the machine.
        self._children: list[subprocess.Popen[bytes]] = []
        # Evictions under way, by capacity; forgotten with this process and simply begun again by the next.
        self._evictions: dict[str, subprocess.Popen[bytes]] = {}

    def launch(self, wanted: Wanted) -> None:
        """Start the agent; a second one on the same folder finds the first one's lock and goes away."""
        home = self._folder / wanted.id
        try:
            make_folder(home)
            with append_private(home / "log") as log:
                child = subprocess.Popen(
                    [
                        *self._command(home),
                        *self._options,
                        *("--endpoint", self._endpoint, "--cluster", wanted.cluster, "--capacity", wanted.id),
                        *("--cpu", str(wanted.cpu), "--memory", str(wanted.memory)),
                        *("--cgroup-parent", cgroup_of(wanted.id)),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=agent_environment(os.environ, self._environment),
                    start_new_session=True,
                )
            self._children.append(child)
            await_command_line(child, ["--data", str(home)])
        except OSError as error:
            raise CannotLaunch(f"the agent could not be started: {error}") from error

    def terminate(self, capacity_id: str) -> bool:
        """End the agent, then have everything of it removed from the engine, then the folder."""
        home = self._folder / capacity_id
        if not home.exists():
            return True
        pids = find_processes(["--data", str(home)])
        eviction = self._evictions.get(capacity_id)
        if eviction is None:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            if not pids:
                self._evictions[capacity_id] = subprocess.Popen(
                    [*self._command(home), *self._options, "--cgroup-parent", cgroup_of(capacity_id), "--evict"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=agent_environment(os.environ, self._environment),
                )
            return False
        code = eviction.poll()
        if code is None:
            return False
        del self._evictions[capacity_id]
        if code == 0:
            shutil.rmtree(home, ignore_errors=True)
        return code == 0 and not home.exists()

    def running(self) -> frozenset[str]:
        """The capacities whose agent process lives."""
        self._children = [child for child in self._children if child.poll() is None]
        if not self._folder.exists():
            return frozenset()
        return frozenset(home.name for home in self._folder.iterdir() if find_processes(["--data", str(home)]))

    def _command(self, home: Path) -> list[str]:
        return [*python_module("agent"), "--data", str(home)]


def cgroup_of(capacity_id: str) -> str:
    """The cgroup that bounds a capacity's containers together."""
    return f"/berth-{capacity_id}"


def network_of(data: Path) -> str:
    """The engine's network for awsvpc tasks of this Berth: another's would give the same addresses away."""
    return f"berth-awsvpc-{hashlib.sha256(str(data).encode()).hexdigest()[:8]}"


def agent_options(settings: Settings) -> list[str]:
    """What every agent started here is told of its engine."""
    options = ["--image-pull-behavior", settings.image_pull_behavior, "--awsvpc-network", network_of(settings.data)]
    # What a Fargate task's agent pulled outlives that agent: the others know of it, and clean it up.
    options += ["--image-cleanup", "on" if settings.image_cleanup else "off"]
    options += ["--image-records", str(settings.data / "images.json")]
    return [*options, "--docker-host", settings.docker_host] if settings.docker_host else options
