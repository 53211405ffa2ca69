"""``berth registry events``: what was pushed, deleted and scanned, and what a pipeline can follow."""

import argparse
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.cli.opening import opened
from orchestrator.cli.output import add_command, settings_of

_MOST = 1000


def add_parser(commands: Any) -> None:
    """Add ``events`` beneath ``berth registry``."""
    parser = add_command(
        commands,
        "events",
        run,
        help="what was pushed, deleted and scanned",
        description="Show the registry's events, the oldest first, as EventBridge would tell them.",
    )
    parser.add_argument("repository", nargs="?", help="of this repository alone")
    parser.add_argument("--after", type=int, default=0, metavar="N", help="only events beyond number N")
    parser.add_argument("--json", action="store_true", help="one JSON document a line, in EventBridge's form")


def run(arguments: argparse.Namespace) -> int:
    from state.registry_events import list_registry_events

    settings = settings_of(arguments)
    with opened(settings) as parts:
        rows = parts.store.read(
            lambda session: [
                (event.id, event.at, event.detail_type, event.detail)
                for event in list_registry_events(
                    session, after=arguments.after, repository=arguments.repository, limit=_MOST
                )
            ]
        )
    if arguments.json:
        for number, at, detail_type, detail in rows:
            event = {
                "id": str(number),
                "detail-type": detail_type,
                "source": "aws.ecr",
                "account": settings.account,
                "region": settings.region,
                "time": at.isoformat(),
                "detail": detail,
            }
            print(json.dumps(event))
        return 0
    table = Table("N", "WHEN", "WHAT", "REPOSITORY", "IMAGE", box=None, pad_edge=False)
    for number, at, _, detail in rows:
        what = detail.get("action-type") or f"SCAN {detail.get('scan-status', '')}"
        image = detail.get("image-tag") or ", ".join(detail.get("image-tags", ())) or detail["image-digest"][:19]
        table.add_row(str(number), f"{at:%Y-%m-%d %H:%M:%S}", what, detail["repository-name"], image)
    Console().print(table if rows else "No events.")
    if len(rows) == _MOST:
        print(f"There may be more: berth registry events --after {rows[-1][0]}")
    return 0
