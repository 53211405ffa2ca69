"""The agent's process: read the settings, take the lock, run until SIGTERM. Containers are left running.

Exit codes: 0 told to stop; 2 cannot start like this; 3 another agent works on the data directory; 4 the control plane
has no such cluster, or will not have this host.
"""

import os
import signal
import sys
from collections.abc import Sequence

from agent import log as logging
from agent.app import Agent
from agent.control.joining import CannotJoin
from agent.control.registration import NoCluster
from agent.evict import evict
from agent.identity import AlreadyRunning, DataLock, IdentityFile, OtherCluster
from agent.runtime.docker import DockerRuntime
from agent.settings import AgentSettings, BadSettings, build_parser, read_settings
from kit.clock import SystemClock
from kit.priority import go_first

USAGE = 2
ALREADY_RUNNING = 3
NO_CLUSTER = 4

__all__ = ["build_parser", "main", "run"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run an agent with the given command line; the answer is the process's exit code."""
    options = build_parser().parse_args(argv)
    if options.evict:
        runtime = DockerRuntime(clock=SystemClock(), host=options.docker_host)
        return evict(options.data, runtime, cgroup_parent=options.cgroup_parent, network=options.awsvpc_network)
    try:
        return run(read_settings(options, os.environ))
    except BadSettings as error:
        print(f"agent: {error}", file=sys.stderr)
        return USAGE


def run(settings: AgentSettings) -> int:
    """Run an agent until SIGTERM or SIGINT."""
    try:
        lock = DataLock(settings.data)
    except AlreadyRunning as error:
        print(f"agent: {error}", file=sys.stderr)
        return ALREADY_RUNNING
    except OSError as error:
        print(f"agent: {settings.data}: {error}", file=sys.stderr)
        return USAGE
    go_first()
    try:
        logging.configure(sys.stderr, verbose=settings.verbose)
        file = IdentityFile(settings.data)
        agent = Agent(settings, file, file.load(settings.cluster))
    except OtherCluster as error:
        print(f"agent: {error}", file=sys.stderr)
        return USAGE
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    try:
        agent.run()
    except (NoCluster, CannotJoin) as error:
        print(f"agent: {error}", file=sys.stderr)
        return NO_CLUSTER
    finally:
        lock.release()
    return 0
