"""``berth registry`` as processes of its own, any number on one store and one storage, as in ``docker-compose.yml``."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kit.clock import SystemClock
from kit.secrets import SecretBox
from registry.storage.filesystem import FilesystemStorage
from state.store import Store
from tests.support.berth import FOREIGN, free_port, until
from tests.support.registry import RegistryClient

ACCOUNT = "123456789012"


@dataclass(slots=True, kw_only=True)
class Replica:
    """One process, and a client of it."""

    client: RegistryClient
    process: "subprocess.Popen[bytes]"
    log: Path

    def kill(self) -> None:
        """As by ``kill -9``."""
        self.process.kill()
        self.process.wait()


@contextmanager
def registry_replicas(directory: Path, store_url: str, *, count: int = 2) -> Iterator[list[Replica]]:
    """Replicas that answer; those that were not killed are at the end."""
    secrets_key = SecretBox.new_master_key()
    secrets = SecretBox(secrets_key)
    processes: list[subprocess.Popen[bytes]] = []
    replicas: list[Replica] = []
    store: Store | None = None
    try:
        for number in range(count):
            port, log = free_port(), directory / f"registry-{number}.log"
            processes.append(_start(directory, store_url, secrets_key, port, log))
            # The first one makes the tables.
            _wait_until_up(processes[-1], port, log)
            store = store or Store(store_url)
            storage = FilesystemStorage(directory / "registry")
            client = RegistryClient(store, storage, SystemClock(), secrets, port)
            replicas.append(Replica(client=client, process=processes[-1], log=log))
        yield replicas
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for replica in replicas:
            replica.client.session.close()
        if store is not None:
            store.close()


def _start(directory: Path, store_url: str, key: str, port: int, log: Path) -> "subprocess.Popen[bytes]":
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    settings = {
        "BERTH_DATA": str(directory),
        "BERTH_STORE_URL": store_url,
        "BERTH_SECRET_KEY": key,
        "BERTH_ACCOUNT": ACCOUNT,
        "BERTH_HOST": "127.0.0.1",
        "BERTH_REGISTRY_PORT": str(port),
    }
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "registry"], env={**own, **settings}, stdout=file, stderr=file
        )


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    def listens() -> bool:
        assert process.poll() is None, log.read_text()[-4000:]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until("the registry listens", listens)
