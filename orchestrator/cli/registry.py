"""``berth registry``: by itself one registry process; with a subcommand, what an operator does with the registry.

A file per subcommand; this one knows their names.
"""

from typing import Any

from orchestrator.cli import (
    processes,
    registry_credentials,
    registry_du,
    registry_events,
    registry_gc,
    registry_keys,
    registry_osv,
    registry_peers,
    registry_refresh,
    registry_scrub,
    registry_storage,
)

SUBCOMMANDS = (
    registry_gc,
    registry_du,
    registry_scrub,
    registry_credentials,
    registry_refresh,
    registry_events,
    registry_keys,
    registry_osv,
    registry_peers,
    registry_storage,
)


def add_parser(commands: Any) -> None:
    parser = processes.add_part(commands, "registry")
    subcommands = parser.add_subparsers(
        dest="subcommand",
        metavar="SUBCOMMAND",
        title="looking after the registry",
        description="Without a subcommand the registry is served. These work on its store and storage, whether it is "
        "up or not.",
    )
    for module in SUBCOMMANDS:
        module.add_parser(subcommands)
