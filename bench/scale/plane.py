"""A control plane of the benchmarks' own, in this process: store, API and loops as ``berth up`` puts them together.

Requests are signed and go through the real gateway, without a socket. Everything it makes is gone when it closes.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import inspect

import state.tables  # noqa: F401  (every entity, so that all tables can be dropped)
from bench.scale.notrun import NotRun
from kit.aws.http import HttpRequest
from kit.aws.sigv4 import sign
from kit.settings import Settings
from orchestrator.app import Parts, build_parts, create_gateway
from state.base import Base
from state.store import Store, shown_url

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TARGET = "AmazonEC2ContainerServiceV20141113"
GIB = 2**30


class Plane:
    """The parts, and ``call`` for ECS operations."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self.parts = parts
        self.folder = folder
        self.store = parts.store
        self.database = "SQLite, synchronous=FULL" if parts.store.embedded else "PostgreSQL"
        self._gateway = create_gateway(parts)

    def size(self) -> int:
        """Bytes that the database takes on disk, SQLite's log included."""
        if self.store.embedded:
            return sum(path.stat().st_size for path in self.folder.glob("berth.db*"))
        with self.store.engine.connect() as connection:
            return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """One signed request; raises RuntimeError for anything but 200."""
        body = json.dumps(request).encode()
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{TARGET}.{operation}"}
        headers |= sign(
            method="POST",
            url=f"{self.parts.settings.api_endpoint}/",
            headers=headers,
            body=body,
            access_key=KEY_ID,
            secret_key=SECRET,
            service="ecs",
            region=self.parts.settings.region,
            at=self.parts.clock.now(),
        )
        host = self.parts.settings.api_endpoint.partition("://")[2]
        sent = [("host", host), *((name, value) for name, value in headers.items() if name.lower() != "host")]
        response = self._gateway.handle(HttpRequest(method="POST", path="/", headers=sent, body=body))
        if response.status != 200:
            raise RuntimeError(f"{operation}: {response.status} {response.body[:300]!r}")
        answer: dict[str, Any] = json.loads(response.body)
        return answer


@contextmanager
def plane_up(store_url: str = "", *, disk: int = 0) -> Iterator[Plane]:
    """Build it in a folder of its own, on SQLite there or on the empty database named; ``disk`` bytes must be free.

    ``postgresql`` alone means a server of its own. Raises NotRun when the disk has less, or the database is not empty.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(scratch(disk))
        if store_url == "postgresql":
            from bench.scale.postgres import postgres_up

            store_url = stack.enter_context(postgres_up(stack.enter_context(scratch())))
        if store_url:
            _refuse_unless_empty(store_url)
        settings = Settings(data=folder, store_url=store_url, root_access_key_id=KEY_ID, root_secret_access_key=SECRET)
        parts = build_parts(settings)
        try:
            yield Plane(parts, folder)
        finally:
            if store_url:
                _empty(parts.store)
            parts.store.close()


@contextmanager
def scratch(disk: int = 0) -> Iterator[Path]:
    """A folder that is gone afterwards, where ``disk`` bytes are free; ``TMPDIR`` says on which disk."""
    folder = Path(tempfile.mkdtemp(prefix="berth-bench-"))
    try:
        free = shutil.disk_usage(folder).free
        if free < disk:
            raise NotRun(
                f"this may need {disk / GIB:.1f} GiB of disk and {folder.parent} has {free / GIB:.1f}; "
                "set TMPDIR to a folder on a larger disk, or ask for fewer --tasks"
            )
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_unless_empty(store_url: str) -> None:
    store = Store(store_url)
    try:
        if inspect(store.engine).get_table_names():
            raise NotRun(f"{shown_url(store_url)} is not empty; its tables would be dropped at the end")
    finally:
        store.close()


def _empty(store: Store) -> None:
    with store.engine.begin() as connection:
        Base.metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
