"""``berth api``, ``berth scheduler``, ``berth registry``: the parts of a control plane of many processes."""

import argparse
from typing import Any

from kit.log import configure_logging
from orchestrator.cli.exposure import warn_if_exposed
from orchestrator.cli.output import CommandFailed, add_data, settings_of

PARTS = {
    "api": "one replica of the API; any number may run on one PostgreSQL store",
    "scheduler": "one scheduler; any number may run, leases say which one does what",
    "registry": "the image registry, or look after it",
}


def add_parser(commands: Any) -> None:
    for name in ("api", "scheduler"):
        add_part(commands, name)


def add_part(commands: Any, name: str) -> argparse.ArgumentParser:
    """Add the command that runs one part."""
    about = PARTS[name]
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=f"run {about}",
        description=f"Run {about}. Settings come from BERTH_* variables (docs/settings.md); BERTH_STORE_URL and "
        "BERTH_SECRET_KEY must be the same for all processes of one Berth.",
    )
    add_data(parser)
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    from orchestrator import control_plane

    settings = settings_of(arguments)
    if not settings.store_url:
        raise CommandFailed(
            "BERTH_STORE_URL is not set: parts of a split control plane meet in one PostgreSQL store "
            "(postgresql+psycopg://…). For everything on this machine use: berth up"
        )
    if arguments.command != "scheduler":
        warn_if_exposed(settings)
    configure_logging()
    {
        "api": control_plane.serve_api,
        "scheduler": control_plane.run_scheduler,
        "registry": control_plane.serve_registry,
    }[arguments.command](settings)
    return 0
