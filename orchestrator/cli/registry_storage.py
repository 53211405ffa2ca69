"""``berth registry storage``: which storage has the registry's blobs, and whether it is the one that is set here."""

import argparse
from typing import Any

from orchestrator.cli.opening import opened
from orchestrator.cli.output import add_command, settings_of


def add_parser(commands: Any) -> None:
    """Add ``storage`` beneath ``berth registry``."""
    parser = add_command(
        commands,
        "storage",
        run,
        help="whether the registry's storage is the one set here",
        description="Tell the identity of the registry's storage and of the one that is set here. Processes with "
        "another storage than the registry's take no blobs.",
    )
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="from now on the one set here is the registry's: what the other one has, and this one has not, is lost",
    )


def run(arguments: argparse.Namespace) -> int:
    from registry.home import move_in
    from state.registry_account import get_registry_account

    with opened(settings_of(arguments)) as parts:
        if arguments.adopt:
            move_in(parts.store, parts.storage)
        recorded = parts.store.read(lambda session: get_registry_account(session).storage)
        here = parts.storage.identity()
    print(f"the registry's: {recorded or 'none yet'}")
    print(f"set here:       {here or 'without an identity yet'}")
    return 0 if recorded == here else 1
