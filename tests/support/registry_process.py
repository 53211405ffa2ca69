"""A registry in a process of its own, for tests that kill it: ``python -m tests.support.registry_process DIR``.

It keeps everything in the directory given: the store, the blobs and the master key. It prints its port.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.clock import SystemClock
from kit.files import read_or_create
from kit.secrets import SecretBox
from kit.settings import Settings
from registry.access import EcrTokens
from registry.app import create_registry
from registry.storage.filesystem import FilesystemStorage
from state.base import Base
from state.store import Store
from tests.support.registry import RegistryClient, listen, serve


def open_store(directory: Path) -> Store:
    store = Store(f"sqlite:///{directory / 'berth.db'}")
    Base.metadata.create_all(store.engine)
    return store


def open_secrets(directory: Path) -> SecretBox:
    return SecretBox(read_or_create(directory / "key", SecretBox.new_master_key()))


@contextmanager
def registry_process(directory: Path) -> Iterator[tuple[RegistryClient, "subprocess.Popen[str]"]]:
    """The running process and a client of it; the process is killed at the end unless it was before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.registry_process", str(directory)],
        stdout=subprocess.PIPE,
        text=True,
    )
    store = open_store(directory)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        storage = FilesystemStorage(directory / "registry")
        client = RegistryClient(store, storage, SystemClock(), open_secrets(directory), port)
        try:
            yield client, process
        finally:
            client.session.close()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        store.close()


def main() -> None:
    directory = Path(sys.argv[1])
    listener = listen()
    port = listener.getsockname()[1]
    store, clock = open_store(directory), SystemClock()
    app = create_registry(
        store,
        FilesystemStorage(directory / "registry"),
        clock=clock,
        settings=Settings(data=directory, registry_port=port),
        authenticate=EcrTokens(store, open_secrets(directory), clock=clock),
    )
    print(port, flush=True)
    with serve(app, listener):
        # Until it is killed.
        threading.Event().wait()


if __name__ == "__main__":
    main()
