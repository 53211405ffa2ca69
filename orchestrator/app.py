"""The one place where parts are put together: settings in, applications and loops out.

Everything else receives what it needs as arguments; only this file knows which driver, clock or service is meant.
"""

import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from kit.aws.asgi import AwsApp
from kit.aws.gateway import Gateway
from kit.aws.joining import JOIN_PATH
from kit.aws.service import Service
from kit.aws.sigv4 import Key
from kit.clock import Clock, SystemClock
from kit.folders import private_folder
from kit.ids import new_id
from kit.reconciler import Reconciler, Runner
from kit.secrets import SecretBox
from kit.settings import BadSetting, Settings
from orchestrator.agents.acs import AgentSockets
from orchestrator.agents.exec_sockets import ExecSockets
from orchestrator.agents.handshake import Handshake
from orchestrator.agents.heartbeat import Heartbeat
from orchestrator.agents.joining import Joining
from orchestrator.agents.presence import Presence
from orchestrator.agents.tcs import TelemetrySockets
from orchestrator.agents.usage_book import UsageBook
from orchestrator.errand import Tools, make_tools
from orchestrator.frame import make_execute
from orchestrator.identity import ensure_agent_key, ensure_root_key, find_key, load_master_key
from orchestrator.operations import SERVICES
from registry.loops import make_loops as make_registry_loops
from registry.storage import Storage
from registry.storage.filesystem import FilesystemStorage
from scheduler.fleets import Fleets
from scheduler.provisioners import Provisioner
from state.loop import Leases
from state.migrations import migrate
from state.store import Store
from state.wakes import WakeListener

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What every process of Berth stands on."""

    settings: Settings
    clock: Clock
    store: Store
    secrets: SecretBox
    find_key: Callable[[str], Key | None]
    storage: Storage
    services: tuple[Service, ...] = field(default_factory=lambda: SERVICES)
    fleets: Fleets = field(default_factory=Fleets)

    @property
    def tools(self) -> Tools:
        """New tools for operations that run outside of a transaction."""
        return make_tools(self.store, self.storage, clock=self.clock, settings=self.settings, secrets=self.secrets)


def build_parts(settings: Settings, *, clock: Clock | None = None) -> Parts:
    """Open the store, bring its tables up to date and make sure of the keys. Safe to run in many processes at once."""
    clock = clock or SystemClock()
    private_folder(settings.data)
    store = Store(settings.store)
    migrate(store)
    secrets = SecretBox(load_master_key(settings))
    ensure_root_key(store, settings, secrets, clock)
    if settings.agent_access_key_id or settings.agent_secret_access_key:
        ensure_agent_key(store, settings, secrets, clock)
    return Parts(
        settings=settings,
        clock=clock,
        store=store,
        secrets=secrets,
        find_key=find_key(store, secrets, clock),
        storage=make_storage(settings),
    )


def make_storage(settings: Settings) -> Storage:
    """Where blobs are kept; raises BadSetting."""
    if not settings.storage:
        return FilesystemStorage(settings.data / "registry")
    scheme, _, place = settings.storage.partition("://")
    name, _, prefix = place.partition("/")
    if scheme != "s3" or not name:
        raise BadSetting(f"BERTH_STORAGE must be s3://BUCKET/PREFIX or nothing, not {settings.storage!r}")
    if bool(settings.s3_access_key_id) != bool(settings.s3_secret_access_key):
        raise BadSetting("BERTH_S3_ACCESS_KEY_ID and BERTH_S3_SECRET_ACCESS_KEY go together")
    # Only who keeps blobs there pays for loading what speaks to it.
    from registry.storage.s3 import Bucket, S3Storage

    return S3Storage(
        Bucket(
            name=name,
            prefix=prefix,
            endpoint=settings.s3_endpoint or None,
            region=settings.s3_region,
            access_key_id=settings.s3_access_key_id or None,
            secret_access_key=settings.s3_secret_access_key or None,
        )
    )


def listen_for_wakes(parts: Parts) -> WakeListener | None:
    """Hear other processes' wakes where the store can carry them (PostgreSQL)."""
    if parts.store.embedded:
        return None
    url = parts.store.url.set(drivername="postgresql")
    listener = WakeListener(url.render_as_string(hide_password=False), parts.store.wakes)
    listener.start()
    return listener


def create_gateway(parts: Parts, *, strict: bool = False) -> Gateway:
    """The AWS API over the store."""
    return Gateway(
        parts.services,
        find_key=parts.find_key,
        clock=parts.clock,
        execute=make_execute(parts.store, parts.tools, fleets=parts.fleets),
        region=parts.settings.region,
        strict=strict,
    )


def create_api(parts: Parts) -> ASGIApp:
    """The API's application: ``/healthz``, the agents' sockets, and every AWS operation on every other path."""
    handshake = Handshake(parts.store, parts.clock, parts.find_key, region=parts.settings.region)
    presence = Presence(parts.store, parts.clock)
    sessions = ExecSockets(parts.store, parts.clock, handshake)
    agents = AgentSockets(
        parts.store, parts.clock, parts.settings, handshake, presence, parts.secrets, sessions=sessions.told
    )
    book = UsageBook(parts.store, parts.clock)
    telemetry = TelemetrySockets(parts.store, handshake, book)
    joining = Joining(parts.store, parts.clock, parts.find_key, parts.secrets, parts.settings)
    aws = AwsApp(create_gateway(parts), max_body=parts.settings.max_body, threads=parts.settings.threads)
    runners = [Runner(Heartbeat(presence, agents.compare), parts.clock), Runner(book, parts.clock)]

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for runner in runners:
            runner.start()
        yield
        for runner in runners:
            await anyio.to_thread.run_sync(runner.stop)
        await anyio.to_thread.run_sync(aws.close)

    # No generated pages: they would be unauthenticated doors.
    app = FastAPI(
        title="Berth", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan
    )

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return await anyio.to_thread.run_sync(check_health, parts.store)

    @app.post(JOIN_PATH)
    async def join(request: Request) -> JSONResponse:
        return await joining.serve(request)

    # Not a mount: a mount would answer odd paths by itself, and not in AWS's words.
    app.router.default = aws
    doors = {
        "/acs/ws": agents.serve,
        "/tcs/ws": telemetry.serve,
        "/exec/ws": sessions.serve_client,
        "/exec/agent": sessions.serve_agent,
    }

    async def entrance(scope: Scope, receive: Receive, send: Send) -> None:
        # Sockets do not go through what requests go through: that cost more than all else that is done for a dial.
        door = doors.get(scope["path"]) if scope["type"] == "websocket" else None
        if door is None:
            await app(scope, receive, send)
        else:
            await door(WebSocket(scope, receive, send))

    return entrance


def check_health(store: Store) -> JSONResponse:
    """200 while the store answers, else 503."""
    try:
        store.ping()
    except Exception as error:
        log.warning("store does not answer", extra={"because": str(error)})
        return JSONResponse({"status": "store unavailable"}, status_code=503)
    return JSONResponse({"status": "ok"})


def create_loops(
    parts: Parts, provisioners: Mapping[str, Provisioner], *, alone: bool
) -> tuple[list[Reconciler], Leases]:
    """The scheduler's loops and their leases; ``alone`` when a lock keeps every other scheduler out."""
    from orchestrator.loops import make_loops

    leases = make_leases(parts, alone=alone)
    loops = make_loops(
        parts.store, parts.clock, leases, parts.settings, provisioners, parts.secrets, fleets=parts.fleets
    )
    return loops, leases


def create_registry_loops(parts: Parts, *, alone: bool) -> tuple[list[Reconciler], Leases]:
    """The registry's loops and their leases."""
    leases = make_leases(parts, alone=alone)
    loops = make_registry_loops(
        parts.store, parts.clock, leases, storage=parts.storage, settings=parts.settings, secrets=parts.secrets
    )
    return loops, leases


def make_leases(parts: Parts, *, alone: bool) -> Leases:
    """Leases in this process's name."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{new_id()[-8:]}"
    # Alone, nobody waits for the leases, so they need not be renewed all the time.
    length = timedelta(hours=1) if alone else timedelta(seconds=10)
    return Leases(parts.store, parts.clock, holder, length=length, seize=alone)


def start_loops(parts: Parts, loops: list[Reconciler]) -> list[Runner]:
    """Start every loop in a thread of its own, woken by its name."""
    runners = [Runner(loop, parts.clock) for loop in loops]
    for runner in runners:
        parts.store.wakes.listen(runner.reconciler.name, runner.wake)
        runner.start()
    return runners


def stop_loops(runners: list[Runner], leases: Leases) -> None:
    """Stop the loops and let another process take over at once."""
    for runner in runners:
        runner.stop()
    with contextlib.suppress(Exception):
        leases.release()


def create_registry_app(parts: Parts) -> Any:
    """The registry's application."""
    from registry.access import EcrTokens
    from registry.app import create_registry

    return create_registry(
        parts.store,
        parts.storage,
        clock=parts.clock,
        settings=parts.settings,
        authenticate=EcrTokens(parts.store, parts.secrets, clock=parts.clock),
        secrets=parts.secrets,
    )
