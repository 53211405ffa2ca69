"""``berth registry gc``: collect garbage now, or say what would be collected. Pushes and pulls go on meanwhile."""

import argparse
import json
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from orchestrator.cli.opening import opened
from orchestrator.cli.output import CommandFailed, add_command, settings_of

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=3650)


def add_parser(commands: Any) -> None:
    """Add ``gc`` beneath ``berth registry``."""
    parser = add_command(
        commands,
        "gc",
        run,
        help="remove layers that no image needs",
        description="Remove layers that no image has needed for the grace time, and what pushes that were broken off "
        "left. Works while Berth is up and while it is down; pushes and pulls go on.",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed now, and remove nothing")
    parser.add_argument("--grace", metavar="TIME", help="such as 0, 90m, 24h or 7d (BERTH_REGISTRY_GRACE_HOURS)")
    parser.add_argument("--untagged", action="store_true", help="also delete images without a tag that nothing needs")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(arguments: argparse.Namespace) -> int:
    from registry.collected import wish_of
    from registry.collector import Collector
    from registry.errors import NotAtHome

    settings = settings_of(arguments)
    wish = replace(wish_of(settings), dry=arguments.dry_run)
    if arguments.grace is not None:
        wish = replace(wish, grace=read_length(arguments.grace))
    if arguments.untagged:
        wish = replace(wish, untagged=True)
    gone: list[dict[str, Any]] = []

    def tell(what: str, name: str, size: int) -> None:
        if arguments.json:
            gone.append({"what": what, "name": name, "bytes": size})
        else:
            print(f"{what:<6} {name}" + (f"  {shown_bytes(size)}" if what == "blob" else ""))

    with opened(settings) as parts:
        try:
            done = Collector(parts.store, parts.storage, clock=parts.clock, settings=settings, tell=tell).collect(wish)
        except NotAtHome:
            raise CommandFailed(
                "this is not the storage that the registry's blobs are in: give the same --data and BERTH_STORAGE as "
                "it has"
            ) from None
    if arguments.json:
        print(json.dumps({"dryRun": wish.dry, **asdict(done), "removed": gone}))
        return 0
    verb = "Would remove" if wish.dry else "Removed"
    print(f"{verb} {done.blobs} blobs, {shown_bytes(done.bytes)}; {done.links} layers hidden, {done.images} images.")
    if done.waiting:
        print(f"{done.waiting} more layers, {shown_bytes(done.waiting_bytes)}, are unused but within the grace time.")
    return 0


def read_length(text: str) -> timedelta:
    """A length of time such as ``0``, ``90m`` or ``7d``; raises CommandFailed."""
    number, unit = (text[:-1], text[-1]) if text and text[-1] in _UNITS else (text, "s")
    if not (number.isascii() and number.isdigit() and len(number) <= 8) or (unit == "s" and text == number != "0"):
        raise CommandFailed(f"{text!r} is no length of time: give a whole number and s, m, h or d, such as 24h")
    length = timedelta(**{_UNITS[unit]: int(number)})
    if length > _LONGEST:
        raise CommandFailed(f"{text!r} is longer than ten years")
    return length


def shown_bytes(size: int) -> str:
    """A size as people read it."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"
