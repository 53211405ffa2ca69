"""``berth up``: everything on this machine in one process, and one agent on the local engine beside it."""

import argparse
import json
import os
import subprocess
import sys
import urllib.request
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

from kit.clock import SystemClock
from kit.files import append_private, write_private
from kit.folders import private_folder
from kit.log import configure_logging
from kit.processes import AlreadyLocked, FolderLock, python_module
from kit.reconciler import Runner
from kit.settings import Settings
from orchestrator.cli.certificate import ca_bundle, client_context
from orchestrator.cli.exposure import warn_if_exposed
from orchestrator.cli.hosts import end_agents, end_misdirected, evict_all
from orchestrator.cli.local_agent import LocalAgent
from orchestrator.cli.output import CommandFailed, Place, add_data, settings_of
from orchestrator.cli.trust import is_engine_here, trust_registry

STARTS_WITHIN = timedelta(seconds=60)


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "up",
        help="start the API, the registry, the scheduler and one agent on this machine",
        description="Start everything on this machine: the API, the registry, the scheduler and one agent on the local "
        "Docker Engine, in cluster 'default'. Without --detach it stays in the foreground; Ctrl-C stops it all.",
    )
    add_data(parser)
    parser.add_argument("--port", type=int, metavar="N", help="port of the API (default 7070)")
    parser.add_argument("--registry-port", type=int, metavar="N", help="port of the registry (default 5050)")
    parser.add_argument("--tls", action="store_true", default=None, help="serve by TLS, with certificates made here")
    parser.add_argument("--detach", action="store_true", help="return once the API answers, and stay up behind")
    parser.add_argument("--serve-data", type=Path, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments, port=arguments.port, registry_port=arguments.registry_port, tls=arguments.tls)
    place = Place(data=settings.data)
    private_folder(settings.data)
    if arguments.serve_data is not None:
        return serve_here(place, settings)
    if place.is_up():
        return _already_up(place)
    warn_if_exposed(settings)
    command = [*python_module("orchestrator"), "up", *_flags(settings), "--serve-data", str(settings.data)]
    if not arguments.detach:
        # Become the serving process, under the command line by which 'berth down' finds it.
        os.execv(sys.executable, command)  # noqa: S606
    place.logs.mkdir(mode=0o700, exist_ok=True)
    log = place.logs / "berth.log"
    with append_private(log) as out:
        said_before = out.tell()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    card = _await_health(place, settings, process, log, said_before)
    _tell_up(card, settings)
    return 0


def serve_here(place: Place, settings: Settings) -> int:
    """Be the control plane until a signal comes."""
    # Imported here: the other commands should not pay for what only a server needs.
    from orchestrator.cli.serve import listen, listen_for_api
    from orchestrator.control_plane import serve_embedded

    try:
        lock = FolderLock(place.lock)
    except AlreadyLocked:
        return _already_up(place)
    configure_logging()
    api = listen_for_api(settings.host, settings.port)
    registry = listen(settings.host, settings.registry_port, "registry")
    settings = settings.with_ports(api.getsockname()[1], registry.getsockname()[1])
    bundle = ca_bundle(settings)
    if bundle is not None and is_engine_here(settings.docker_host):
        trust_registry(settings.registry, bundle)
    card = {
        "pid": os.getpid(),
        "endpoint": settings.api_endpoint,
        "registry": settings.registry,
        "region": settings.region,
        "account": settings.account,
        **({"ca_bundle": str(bundle)} if bundle is not None else {}),
    }
    write_private(place.card, json.dumps(card, indent=2) + "\n")
    clock = SystemClock()
    end_misdirected(place, settings.api_endpoint, clock)
    keepers: list[Runner] = []

    def keep_agent(environment: Mapping[str, str]) -> None:
        if sys.stdout.isatty():
            _tell_up(card, settings)
        write_private(place.agent_key, json.dumps(dict(environment)) + "\n")
        keepers.append(Runner(LocalAgent(place, settings, environment, clock), clock))
        keepers[0].start()

    try:
        serve_embedded(
            settings,
            api,
            registry,
            capacities=place.capacities,
            when_up=keep_agent,
        )
    finally:
        for keeper in keepers:
            keeper.stop()
        # In the foreground the terminal's Ctrl-C means all of it; 'berth down' does the same by itself.
        if os.isatty(0):
            end_agents(place, clock)
            evict_all(place, settings)
        lock.release()
    return 0


def _tell_up(card: Mapping[str, Any], settings: Settings) -> None:
    print(f"Berth is up: API {card['endpoint']}, registry {card['registry']}, data {settings.data}")
    print(f'Next: eval "$(berth env --data {settings.data})"', flush=True)


def _already_up(place: Place) -> int:
    card = place.read_card()
    print(f"Berth is already up: API {card['endpoint']}, registry {card['registry']}, data {place.data}")
    return 0


def _flags(settings: Settings) -> list[str]:
    return [
        *("--data", str(settings.data)),
        *("--port", str(settings.port)),
        *("--registry-port", str(settings.registry_port)),
        *(["--tls"] if settings.tls else ()),
    ]


def _await_health(
    place: Place, settings: Settings, process: "subprocess.Popen[bytes]", log: Path, said_before: int
) -> dict[str, Any]:
    """The card of the process, once it answers. Another Berth may have its port, and answers there as well: only the
    process that has listened writes its own id onto the card."""
    clock = SystemClock()
    deadline = clock.now() + STARTS_WITHIN
    never = Event()
    trust = None
    while clock.now() < deadline:
        if process.poll() is not None:
            raise CommandFailed(f"Berth did not start:\n{_tail(log, said_before)}")
        with suppress(CommandFailed, OSError):
            card = place.read_card()
            if card["pid"] == process.pid:
                trust = trust or client_context(settings)
                url = f"{card['endpoint']}/healthz"
                with urllib.request.urlopen(url, timeout=2, context=trust) as answer:  # noqa: S310
                    if answer.status == 200:
                        return card
        clock.wait(never, timedelta(milliseconds=50))
    raise CommandFailed(f"Berth does not answer on {settings.api_endpoint}; see {log}")


def _tail(log: Path, start: int, lines: int = 15) -> str:
    with log.open(errors="replace") as file:
        file.seek(start)
        return "".join(deque(file, lines)).rstrip()
