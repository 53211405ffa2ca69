"""The control plane's processes: all of it in one (``berth up``), or one part each (``berth api`` and the like)."""

import signal
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from kit.garbage import calm_collector
from kit.interpreter import share_interpreter
from kit.priority import go_first
from kit.secrets import Undecipherable
from kit.settings import BadSetting, Settings
from orchestrator.app import (
    Parts,
    build_parts,
    create_api,
    create_loops,
    create_registry_app,
    create_registry_loops,
    listen_for_wakes,
    start_loops,
    stop_loops,
)
from orchestrator.cli.certificate import ca_bundle, certificate_of
from orchestrator.cli.output import CommandFailed
from orchestrator.cli.serve import listen, listen_for_api, serve
from orchestrator.identity import ensure_agent_key
from scheduler.provisioners import Provisioner
from scheduler.provisioners.local import LocalProvisioner, agent_options
from state.clusters import ensure_cluster
from state.store import StoreUnavailable, shown_url


def serve_embedded(
    settings: Settings,
    api: socket.socket,
    registry: socket.socket,
    *,
    capacities: Path,
    when_up: Callable[[Mapping[str, str]], None],
) -> None:
    """Serve the API and the registry and run every loop, until a signal; the caller holds the data directory's lock."""
    parts = open_parts(settings)
    ensure_default_cluster(parts)
    environment = agent_environment(parts)
    alone = parts.store.embedded
    loops, leases = create_loops(parts, local_provisioners(parts, capacities), alone=alone)
    registry_loops, registry_leases = create_registry_loops(parts, alone=alone)
    listener = listen_for_wakes(parts)
    runners = start_loops(parts, loops)
    registry_runners = start_loops(parts, registry_loops)
    try:
        serve(
            [(create_api(parts), api), (create_registry_app(parts), registry)],
            certificate=certificate_of(settings),
            when_up=lambda: when_up(environment),
        )
    finally:
        stop_loops(runners, leases)
        stop_loops(registry_runners, registry_leases)
        if listener is not None:
            listener.stop()
        parts.store.close()


def open_parts(settings: Settings) -> Parts:
    """The parts of a process; raises CommandFailed where the store cannot be used."""
    go_first()
    calm_collector()
    share_interpreter()
    try:
        return build_parts(settings)
    except (StoreUnavailable, Undecipherable) as trouble:
        raise CommandFailed(f"cannot use {shown_url(settings.store)}: {trouble}") from trouble


def serve_api(settings: Settings) -> None:
    """One API replica."""
    parts = open_parts(settings)
    ensure_default_cluster(parts)
    listener = listen_for_wakes(parts)
    try:
        api = listen_for_api(settings.host, settings.port)
        serve([(create_api(parts), api)], certificate=certificate_of(settings))
    finally:
        if listener is not None:
            listener.stop()
        parts.store.close()


def serve_registry(settings: Settings) -> None:
    """One registry."""
    parts = open_parts(settings)
    loops, leases = create_registry_loops(parts, alone=False)
    listener = listen_for_wakes(parts)
    runners = start_loops(parts, loops)
    try:
        listener_socket = listen(settings.host, settings.registry_port, "registry")
        serve([(create_registry_app(parts), listener_socket)], certificate=certificate_of(settings))
    finally:
        stop_loops(runners, leases)
        if listener is not None:
            listener.stop()
        parts.store.close()


def run_scheduler(settings: Settings) -> None:
    """One scheduler; several arbitrate by leases."""
    parts = open_parts(settings)
    loops, leases = create_loops(parts, local_provisioners(parts, settings.data / "capacities"), alone=False)
    listener = listen_for_wakes(parts)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    runners = start_loops(parts, loops)
    stopping.wait()
    stop_loops(runners, leases)
    if listener is not None:
        listener.stop()
    parts.store.close()


def ensure_default_cluster(parts: Parts) -> None:
    parts.store.transact(lambda session: ensure_cluster(session, "default", now=parts.clock.now()))


def agent_environment(parts: Parts) -> dict[str, str]:
    """The environment of an agent that Berth starts by itself: a key that may do an agent's work only."""
    key_id, secret = ensure_agent_key(parts.store, parts.settings, parts.secrets, parts.clock)
    bundle = ca_bundle(parts.settings)
    return {
        **({"AWS_CA_BUNDLE": str(bundle)} if bundle is not None else {}),
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": parts.settings.region,
    }


def local_provisioners(parts: Parts, folder: Path) -> dict[str, Provisioner]:
    """Every provisioner by name; raises BadSetting when the one to be used is none of them."""
    provisioners: dict[str, Provisioner] = {
        "local": LocalProvisioner(
            folder,
            endpoint=parts.settings.api_endpoint,
            environment=agent_environment(parts),
            options=agent_options(parts.settings),
        )
    }
    if parts.settings.provisioner not in provisioners:
        raise BadSetting(
            f"BERTH_PROVISIONER is {parts.settings.provisioner!r}; there is: {', '.join(sorted(provisioners))}"
        )
    return provisioners
