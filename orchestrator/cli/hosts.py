"""The agents of one data directory: ending all of them, and clearing what they ran."""

import os
import subprocess
from pathlib import Path

from kit.clock import Clock
from kit.processes import end_processes, find_processes, is_process, python_module
from kit.settings import Settings, agent_environment
from orchestrator.cli.output import Place
from scheduler.provisioners.local import agent_options, cgroup_of


def agent_command(home: Path, settings: Settings) -> list[str]:
    """The local agent's command line."""
    offers = [("--gpu", gpu) for gpu in _listed(settings.gpus)]
    offers += [("--resource", resource) for resource in _listed(settings.resources)]
    options = [*agent_options(settings), *(word for offer in offers for word in offer)]
    return [*python_module("agent"), "--data", str(home), *options]


def _listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def homes(place: Place) -> list[Path]:
    """The folders of all agents of this data directory.

    The local agent's is the last: with it goes the network of awsvpc tasks, once no other agent's task is on it.
    """
    folders: list[Path] = []
    for parent in (place.capacities, place.data / "agents"):
        if parent.exists():
            folders += sorted(folder for folder in parent.iterdir() if folder.is_dir())
    return [folder for folder in (*folders, place.agent) if folder.exists()]


def end_agents(place: Place, clock: Clock) -> int:
    """End every agent process; answers how many there were."""
    count = 0
    for home in homes(place):
        words = ["--data", str(home)]
        count += len(find_processes(words))
        end_processes(words, clock)
    return count


def end_misdirected(place: Place, endpoint: str, clock: Clock) -> None:
    """End the agents, started by an earlier control plane, that report to another address: they would do so for ever.

    What they run goes on; whoever is started in their place adopts it. Hosts that a person joined are left alone.
    """
    for home in homes(place):
        words = ["--data", str(home)]
        if home.parent != place.data / "agents" and any(
            not is_process(pid, ["--endpoint", endpoint]) for pid in find_processes(words)
        ):
            end_processes(words, clock)


def evict_all(place: Place, settings: Settings) -> None:
    """Remove what the ended agents left on the engine. They will find it missing, and report it, when they are back."""
    for home in homes(place):
        subprocess.run(
            [*agent_command(home, settings), *_cgroup_of(place, home), "--evict"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=agent_environment(os.environ, {}),
            check=False,
            timeout=120,
        )


def _cgroup_of(place: Place, home: Path) -> list[str]:
    return ["--cgroup-parent", cgroup_of(home.name)] if home.parent == place.capacities else []
