"""``berth registry du``: how much room repositories take, exactly, as the store's rows say it."""

import argparse
import json
from dataclasses import asdict
from typing import Any

from rich.console import Console

from orchestrator.cli.asking import plain_table
from orchestrator.cli.opening import opened
from orchestrator.cli.output import CommandFailed, add_command, settings_of
from orchestrator.cli.registry_gc import shown_bytes


def add_parser(commands: Any) -> None:
    """Add ``du`` beneath ``berth registry``."""
    parser = add_command(
        commands,
        "du",
        run,
        help="how much room repositories take",
        description="Show the size of every repository, or of one. ALONE is what no other repository shows: what "
        "deleting this one would free. UNUSED waits for the garbage collector.",
    )
    parser.add_argument("repository", nargs="?", help="this repository alone")
    parser.add_argument("--json", action="store_true", help="one JSON document, sizes in bytes")


def run(arguments: argparse.Namespace) -> int:
    from state.blob_sizes import list_repository_sizes, stored_size

    with opened(settings_of(arguments)) as parts:
        rows, stored = parts.store.read(
            lambda session: (list_repository_sizes(session, arguments.repository), stored_size(session))
        )
    if arguments.repository is not None and not rows:
        raise CommandFailed(f"there is no repository {arguments.repository}")
    if arguments.json:
        print(json.dumps({"repositories": [asdict(row) for row in rows], "stored": asdict(stored)}))
        return 0
    table = plain_table(None, "repository", "images", "tags", "size", "alone", "shared", "unused")
    for row in sorted(rows, key=lambda row: (-row.bytes, row.name)):
        sizes = (shown_bytes(size) for size in (row.bytes, row.alone, row.shared, row.unused))
        table.add_row(row.name, str(row.images), str(row.tags), *sizes)
    console = Console(highlight=False)
    console.print(table if rows else "No repositories.")
    if arguments.repository is None:
        loose = f", {shown_bytes(stored.unlinked)} of it in no repository" if stored.unlinked else ""
        console.print(f"Stored: {stored.blobs} blobs, {shown_bytes(stored.bytes)}{loose}.")
    return 0
