"""``berth registry osv``: the advisories that images are matched against."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.cli.opening import opened
from orchestrator.cli.output import CommandFailed, add_command, settings_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DEFAULT = "osv"


def add_parser(commands: Any) -> None:
    """Add ``osv`` beneath ``berth registry``."""
    parser = commands.add_parser(
        "osv",
        help="advisories that images are matched against",
        description="Import advisories in OSV's form, such as https://osv.dev gives out for each ecosystem "
        "(https://osv-vulnerabilities.storage.googleapis.com/Debian/all.zip). Berth fetches nothing by itself.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    take = add_command(
        verbs,
        "import",
        run_import,
        help="put advisories in the place of those imported before",
        description="Images with continuous scanning, and those whose scan lacked knowledge, are scanned again.",
    )
    take.add_argument("paths", type=Path, nargs="+", metavar="FILE", help="zip file, folder or JSON document")
    take.add_argument(
        "--name", default=_DEFAULT, help=f"what they are kept under, beside those of other names ({_DEFAULT})"
    )
    take.add_argument("--rescan", action="store_true", help="scan every image again that was scanned before")
    add_command(verbs, "list", run_list, help="say what is imported")
    remove = add_command(verbs, "remove", run_remove, help="take advisories out of use")
    remove.add_argument("name")


def run_import(arguments: argparse.Namespace) -> int:
    from registry.scanning.importing import CannotImport, import_osv

    if not _NAME.fullmatch(arguments.name):
        raise CommandFailed("--name has letters, digits, dots, dashes and underscores, 100 at most")
    with opened(settings_of(arguments)) as parts:
        try:
            done = import_osv(
                parts.store,
                parts.clock,
                arguments.paths,
                name=arguments.name,
                rescan=arguments.rescan,
                progress=_show_progress,
            )
        except CannotImport as trouble:
            raise CommandFailed(str(trouble)) from trouble
        finally:
            if sys.stderr.isatty():
                print(file=sys.stderr)
    print(f"{done.advisories} advisories about {done.packages} packages are in use as {arguments.name}.")
    if done.withdrawn or done.elsewhere:
        print(f"Left out: {done.withdrawn} withdrawn, {done.elsewhere} of ecosystems that are not looked for.")
    if done.refused:
        print(f"Refused: {done.refused}, such as")
        for complaint in done.complaints:
            print(f"  {complaint}")
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    from state.vulnerabilities import current_bundles

    with opened(settings_of(arguments)) as parts:
        bundles = parts.store.read(current_bundles)
    table = Table("NAME", "ADVISORIES", "IMPORTED", "LATEST CHANGE", box=None, pad_edge=False)
    for bundle in bundles:
        latest = f"{bundle.modified_at:%Y-%m-%d}" if bundle.modified_at else ""
        table.add_row(bundle.name, str(bundle.advisories), f"{bundle.touched_at:%Y-%m-%d %H:%M}", latest)
    Console().print(table if bundles else "No advisories. Give some with: berth registry osv import FILE")
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    from registry.scanning.importing import remove_osv

    with opened(settings_of(arguments)) as parts:
        gone = remove_osv(parts.store, parts.clock, arguments.name)
    if not gone:
        raise CommandFailed(f"no advisories are in use as {arguments.name}")
    print(f"The advisories of {arguments.name} are out of use; findings stay until images are scanned again.")
    return 0


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total} documents", end="", file=sys.stderr, flush=True)
