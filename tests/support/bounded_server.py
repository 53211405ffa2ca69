"""An ASGI application behind Berth's HTTP protocol, on a socket of its own."""

import asyncio
import socket
import threading
from abc import ABC, abstractmethod
from typing import Any

import uvicorn

from orchestrator.cli.bounded_http import BoundedHttp
from orchestrator.cli.serve import listen


class BoundedServer(ABC):
    """Serves its ``app``, which whoever inherits writes, from its making until ``stop``."""

    def __init__(self, **config: Any) -> None:
        self._socket = listen("127.0.0.1", 0, "test")
        self._server = uvicorn.Server(
            uvicorn.Config(self.app, http=BoundedHttp, interface="asgi3", log_config=None, lifespan="off", **config)
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([self._socket])))
        self._thread.start()

    @abstractmethod
    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """What is served, as ASGI has it."""

    def connect(self) -> socket.socket:
        connection = socket.create_connection(self._socket.getsockname())
        connection.settimeout(30)
        return connection

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
