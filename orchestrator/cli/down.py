"""``berth down``: stop the control plane, its agents and what they run; what the store keeps stays."""

import argparse
from datetime import timedelta
from typing import Any

from kit.clock import SystemClock
from kit.processes import end_processes, find_processes
from orchestrator.cli.hosts import end_agents, evict_all
from orchestrator.cli.output import Place, add_data, settings_of


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "down",
        help="stop everything that runs on a data directory",
        description="Stop the control plane and the agents of a data directory. Containers are removed too, unless "
        "--keep-tasks: then the next 'berth up' finds and adopts them. Nothing that is stored is deleted.",
    )
    add_data(parser)
    parser.add_argument("--keep-tasks", action="store_true", help="leave containers running, to be adopted later")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    place = Place(data=settings.data)
    clock = SystemClock()
    words = ["--serve-data", str(settings.data)]
    was_up = bool(find_processes(words))
    end_processes(words, clock, patience=timedelta(seconds=30))
    agents = end_agents(place, clock)
    if not arguments.keep_tasks:
        evict_all(place, settings)
    if was_up or agents:
        print(f"Berth in {settings.data} is down.")
    else:
        print(f"No Berth was up in {settings.data}.")
    return 0
