"""``berth registry scrub``: read every blob again, and name those that are damaged with the images they hurt."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from rich.console import Console

from orchestrator.cli.asking import plain_table
from orchestrator.cli.opening import opened
from orchestrator.cli.output import add_command, settings_of
from orchestrator.cli.registry_gc import shown_bytes

_TOLD_EVERY = 256 * 1024 * 1024


def add_parser(commands: Any) -> None:
    """Add ``scrub`` beneath ``berth registry``."""
    parser = add_command(
        commands,
        "scrub",
        run,
        help="read every blob again and name the damaged ones",
        description="Verify every blob against its digest. The registry does so by itself as well, a little at a time. "
        "Exit code 1 when a blob is damaged; pushing an image that needs it again is the cure.",
    )
    parser.add_argument("--found", action="store_true", help="read nothing; show what was found before")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(arguments: argparse.Namespace) -> int:
    from registry.scrub import scrub
    from state.scrubs import kept_totals, list_hurt

    blobs = read = 0
    with opened(settings_of(arguments)) as parts:
        if not arguments.found:
            total, size = parts.store.read(kept_totals)
            told = 0
            for checked in scrub(parts.store, parts.storage, parts.clock):
                blobs, read = blobs + 1, read + checked.size
                if read - told >= _TOLD_EVERY:
                    told = read
                    print(f"{blobs}/{total} blobs, {shown_bytes(read)} of {shown_bytes(size)}", file=sys.stderr)
        hurt = parts.store.read(list_hurt)
    if arguments.json:
        print(json.dumps({"blobs": blobs, "bytes": read, "damaged": [asdict(each) for each in hurt]}))
        return 1 if hurt else 0
    if not arguments.found:
        print(f"Read {blobs} blobs, {shown_bytes(read)}.")
    if not hurt:
        print("No damaged blobs.")
        return 0
    table = plain_table("Damaged blobs", "fault", "blob", "repository", "image", "tags")
    for each in hurt:
        image = each.image or "no image needs it"
        table.add_row(each.fault, each.digest, each.repository or "", image, ", ".join(each.tags))
    Console(highlight=False).print(table)
    return 1
