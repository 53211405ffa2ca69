"""Serving: one or several ASGI applications in one event loop, stopped together by SIGTERM or SIGINT."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from kit.limits import allow_open_files
from orchestrator.cli.bounded_http import BoundedHttp
from orchestrator.cli.doorway import Doorway
from orchestrator.cli.output import CommandFailed
from orchestrator.cli.patient_sockets import PatientWebSockets

STOPS_WITHIN = 5
# An agent's socket is asked so often whether its host is still there, and closed when it has not answered for as long.
PING_SECONDS = 3
# What an agent does not acknowledge for as long ends its connection too: while something waits to be sent, a socket
# that is closed would otherwise linger until the kernel gives up, for a quarter of an hour.
UNANSWERED_MS = 2 * PING_SECONDS * 1000
# Larger frames end an agent's socket before they are whole.
LARGEST_FRAME = 4 * 1024 * 1024
# Connections that one turn of the event loop takes, and those that may wait in the kernel for theirs. When all agents
# of a large cluster dial at once, waiting there costs nothing; whoever is taken is seen to before it gives up.
TAKEN, WAITING = 64, 1024


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to ``serve``, and takes connections a few at a time."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            # Starting has set it to what is taken in one turn.
            listener.listen(WAITING)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int, what: str) -> socket.socket:
    """A listening socket, so that a taken port is told before anything else is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, because asyncio turns Nagle's delays off only on sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CommandFailed(
            f"the {what} cannot listen on {host}:{port}: {error.strerror}; choose another port"
        ) from error
    listener.listen(WAITING)
    listener.setblocking(False)
    return listener


def listen_for_api(host: str, port: int) -> socket.socket:
    """A listening socket for the API, and so for the agents' sockets."""
    listener = listen(host, port, "API")
    # Each connection that is accepted has it from here.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
    return listener


def serve(
    apps: Sequence[tuple[Any, socket.socket]],
    *,
    certificate: tuple[Path, Path] | None = None,
    when_up: Callable[[], None] | None = None,
) -> None:
    """Serve each application on its socket until a signal asks to stop; ``when_up`` runs in a thread once all do.

    By TLS with a ``certificate``: the files of its chain and of its key.
    """
    allow_open_files()
    asyncio.run(_serve(apps, certificate, when_up))


async def _serve(
    apps: Sequence[tuple[Any, socket.socket]],
    certificate: tuple[Path, Path] | None,
    when_up: Callable[[], None] | None,
) -> None:
    chain, key = certificate or (None, None)
    doorway = Doorway()
    servers = [
        _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                backlog=TAKEN,
                http=partial(BoundedHttp, doorway=doorway),  # type: ignore[arg-type]
                # Nobody is believed about where a request came from: behind a proxy, it is the proxy that policies
                # see as aws:SourceIp.
                proxy_headers=False,
                ws=partial(PatientWebSockets, doorway=doorway),  # type: ignore[arg-type]
                ws_max_size=LARGEST_FRAME,
                ws_ping_interval=PING_SECONDS,
                ws_ping_timeout=PING_SECONDS,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=STOPS_WITHIN,
                server_header=False,
                lifespan="auto",
                ssl_certfile=chain,
                ssl_keyfile=key,
            )
        )
        for app, _ in apps
    ]

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    running: list[Awaitable[None]] = [
        server.serve(sockets=[listener]) for server, (_, listener) in zip(servers, apps, strict=True)
    ]
    if when_up is not None:
        running.append(_once_started(servers, when_up))
    await asyncio.gather(*running)


async def _once_started(servers: Sequence[uvicorn.Server], when_up: Callable[[], None]) -> None:
    while not all(server.started or server.should_exit for server in servers):
        await asyncio.sleep(0.02)
    await asyncio.to_thread(when_up)
