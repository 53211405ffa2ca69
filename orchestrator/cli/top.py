"""``berth top``: what hosts, services and tasks use now, what they have reserved, and how it was."""

import argparse
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from orchestrator.cli.asking import plain_table, short
from orchestrator.cli.chart import Point, draw, spark
from orchestrator.cli.opening import opened
from orchestrator.cli.output import CommandFailed, add_data, settings_of

if TYPE_CHECKING:
    from orchestrator.app import Parts
    from state.store import Session
    from state.usage import UsagePoint

# What is older is not now.
FRESH = timedelta(minutes=5)
SHOWN = timedelta(minutes=15)
MOST_ROWS = 15
MOST_HOURS = 60 * 24
KINDS = ("host", "service", "container")


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "top",
        help="show what hosts, services and tasks use",
        description="Show the CPU and memory that hosts, services and containers used in the last minute, beside what "
        "is reserved, and the last minutes. CPU is in units of 1/1024 vCPU. With --svg, draw the past of one.",
    )
    add_data(parser)
    parser.add_argument("name", nargs="?", help="only this service (or CLUSTER/SERVICE), host, cluster or task")
    parser.add_argument("--watch", action="store_true", help="look again every few seconds, until Ctrl-C")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the past of NAME into a file")
    parser.add_argument("--hours", type=int, default=3, metavar="N", help="how much of it (default: 3)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    with opened(settings_of(arguments)) as parts:
        if arguments.svg is not None:
            return _draw(parts, arguments)
        console = Console()
        if not arguments.watch:
            screen = _screen(parts, arguments.name)
            if isinstance(screen, str) and arguments.name:
                raise CommandFailed(screen)
            console.print(screen)
            return 0
        with Live(_screen(parts, arguments.name), console=console, auto_refresh=False) as live:
            while True:
                parts.clock.wait(threading.Event(), timedelta(seconds=5))
                live.update(_screen(parts, arguments.name), refresh=True)


def _screen(parts: "Parts", name: str | None) -> Table | str:
    from state.usage import list_latest

    now = parts.clock.now()

    def read(session: "Session") -> "list[tuple[UsagePoint, Sequence[float | None]]]":
        latest = [point for point in list_latest(session, KINDS, since=now - FRESH) if _is_named(point.subject, name)]
        latest.sort(key=lambda point: (KINDS.index(_kind(point)), -point.cpu, point.subject))
        kept = [point for kind in KINDS for point in [p for p in latest if _kind(p) == kind][:MOST_ROWS]]
        return [(point, _past(session, point.subject, now)) for point in kept]

    rows = parts.store.read(read)
    if not rows:
        if name:
            return f"no host, cluster, service or task named {name} has told what it used in the last five minutes"
        return "Nothing is known of the last minutes yet: what runs shows here within about a minute."
    table = plain_table(None, "KIND", "NAME", "CPU", "OF", "MEMORY", "OF", "IN/s", "OUT/s", "LAST 15 MIN")
    for point, past in rows:
        table.add_row(*_row(point), spark(past, most=point.cpu_reserved or None))
    return table


def _row(point: "UsagePoint") -> tuple[str, ...]:
    return (
        _kind(point),
        _named(point.subject),
        f"{point.cpu_average:.0f}",
        f"{point.cpu_reserved / point.minutes:.0f}" if point.cpu_reserved else "-",
        f"{point.memory_average:.0f} MiB",
        f"{point.memory_reserved / point.minutes:.0f}" if point.memory_reserved else "-",
        _rate(point.rx / 60),
        _rate(point.tx / 60),
    )


def _past(session: "Session", subject: str, now: datetime) -> Sequence[float | None]:
    from state.usage import MINUTE, bucket, list_usage

    first = bucket(now - SHOWN, MINUTE)
    known: Mapping[datetime, float] = {
        point.at: point.cpu for point in list_usage(session, subject, seconds=MINUTE, since=first)
    }
    return [known.get(first + timedelta(minutes=minute)) for minute in range(int(SHOWN / timedelta(minutes=1)))]


def _draw(parts: "Parts", arguments: argparse.Namespace) -> int:
    from state.usage import FIVE_MINUTES, HOUR, MINUTE, bucket, list_latest, list_usage

    if not arguments.name or not 1 <= arguments.hours <= MOST_HOURS:
        raise CommandFailed(f"--svg needs the name of a service, host or cluster, and --hours from 1 to {MOST_HOURS}")
    seconds = MINUTE if arguments.hours <= 3 else FIVE_MINUTES if arguments.hours <= 72 else HOUR
    now = parts.clock.now()
    since = bucket(now - timedelta(hours=arguments.hours), seconds)

    def read(session: "Session") -> "tuple[str, Sequence[UsagePoint]]":
        kinds = ("cluster", "host", "service")
        subjects = [p.subject for p in list_latest(session, kinds, since=now - timedelta(hours=3))]
        found = [subject for subject in subjects if _is_named(subject, arguments.name)]
        subject = found[0] if found else f"service/default/{arguments.name}"
        return subject, list_usage(session, subject, seconds=seconds, since=since)

    subject, points = parts.store.read(read)
    if not points:
        raise CommandFailed(f"nothing is known of {arguments.name} in the last {arguments.hours} hours")
    known = {point.at: point for point in points}
    at, cpu, memory = since, list[Point](), list[Point]()
    while at <= points[-1].at:
        point = known.get(at)
        cpu.append((at, point.cpu_average if point else None))
        memory.append((at, point.memory_average if point else None))
        at += timedelta(seconds=seconds)
    picture = draw(subject, (("CPU", "units of 1/1024 vCPU", cpu), ("Memory", "MiB", memory)))
    arguments.svg.write_text(picture)
    print(f"Drew {len(points)} points of {subject} into {arguments.svg}")
    return 0


def _kind(point: "UsagePoint") -> str:
    return point.subject.partition("/")[0]


def _named(subject: str) -> str:
    """A host's short name, CLUSTER/SERVICE, or TASK/CONTAINER."""
    kind, *rest = subject.split("/")
    if kind == "host":
        return short(rest[0])
    return "/".join(rest) if kind != "container" else f"{short(rest[1])}/{rest[2]}"


def _is_named(subject: str, name: str | None) -> bool:
    rest, shown = subject.partition("/")[2], _named(subject)
    return name is None or name in (rest, shown, *rest.split("/"), *shown.split("/"))


def _rate(value: float) -> str:
    """Bytes a second, in three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.0f} TB"
