"""Eviction: everything that an ended agent left on its engine is removed; what it remembers on disk stays.

An agent that starts again on the same data finds its containers missing and reports its tasks STOPPED.
"""

import json
import sys
from pathlib import Path

from agent.cgroup import CannotLimit, Cgroup
from agent.firelens import volume_of
from agent.identity import AlreadyRunning, DataLock
from agent.runtime import Runtime, RuntimeTrouble
from agent.settings import DEFAULT_NETWORK
from agent.tasks.files import TaskFiles
from agent.tasks.render import AGENT_LABEL, own_volumes, volume_name
from agent.tasks.routers import router_of


def evict(data: Path, runtime: Runtime, *, cgroup_parent: str = "", network: str = DEFAULT_NETWORK) -> int:
    """Remove the containers of the agent that lived in ``data``; answers an exit code, 0 when nothing is left."""
    if not data.exists():
        return 0
    try:
        lock = DataLock(data)
    except AlreadyRunning as error:
        print(f"agent: {error}; stop it first", file=sys.stderr)
        return 3
    except OSError as error:
        print(f"agent: cannot evict: {error}", file=sys.stderr)
        return 1
    try:
        identity = json.loads((data / "agent.json").read_text())["id"]
        for container in runtime.list({AGENT_LABEL: identity}):
            runtime.remove(container.id)
        for task, _ in TaskFiles(data).load():
            for volume in own_volumes(task.spec):
                runtime.remove_volume(volume_name(task.spec, volume))
            if router_of(task.spec):
                runtime.remove_volume(volume_of(task.spec))
        if not cgroup_parent:
            # Kept by the engine while any other agent's task still uses it.
            runtime.remove_network(network)
            return 0
        return 0 if Cgroup(cgroup_parent).remove() else 1
    except FileNotFoundError:
        return 0
    except (RuntimeTrouble, CannotLimit, OSError, ValueError, LookupError, TypeError) as error:
        print(f"agent: cannot evict: {error}", file=sys.stderr)
        return 1
    finally:
        lock.release()
