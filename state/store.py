"""The store: one SQL database, SQLite or PostgreSQL, read and written in short transactions.

``transact`` runs a function in one transaction and repeats it, with a fresh session, when another writer got in
between; so the function must only read and write the session it is given. Wakes asked for inside are sent
after the commit, never before it.
"""

import logging
import os
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy import orm as sa_orm
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm.exc import StaleDataError

from state.base import encode_document
from state.checkpoints import BACKSTOP, Checkpoints
from state.turns import Turns
from state.wakes import CHANNEL, Wakes, payloads

log = logging.getLogger(__name__)
T = TypeVar("T")
ATTEMPTS = 12
# Of each SQLite connection; what a transaction writes beyond it is written twice.
CACHE_KIB = 16384
_SQLITE_TROUBLE = ("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_BUSY", "SQLITE_PROTOCOL")
# Connection lost, resources short, shut down by an operator, system error: by the first digits of the SQLSTATE.
_POSTGRESQL_TROUBLE = ("08", "53", "57P", "58")


class StoreBusy(Exception):
    """A transaction met other writers at every attempt; the caller may try again."""


class StoreUnavailable(Exception):
    """The database cannot serve now: its disk is full, or nobody answers. It may recover."""


class StoreFull(StoreUnavailable):
    """The disk of the store is full; nothing was changed. Free some space and try again."""


class Conflict(Exception):
    """Raised inside a transaction whose premise no longer holds: it is rolled back and tried again."""


class Session(sa_orm.Session):
    """A SQLAlchemy session that also collects the wakes to send once the transaction is committed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wakes: set[str] = set()

    def wake(self, *names: str) -> None:
        """Ask that the named loops (``services``) or doors (``agent:<id>``) look again after the commit."""
        self.wakes.update(names)


class Store:
    """Opens sessions on one database."""

    def __init__(self, url: str, *, wakes: Wakes | None = None, pool_size: int = 16) -> None:
        self.url = make_url(url)
        self.wakes = wakes or Wakes()
        self.embedded = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite(url) if self.embedded else _postgresql(url, pool_size)
        # SQLite admits one writer; waiting for it here costs no polling, in its busy handler it would.
        self._writer = Turns() if self.embedded else None
        self._writing: Connection | None = None
        self._checkpoints = Checkpoints(self.url.database) if self.embedded and self.url.database else None
        self._readers: list[sqlite3.Connection] = []
        self._write = sa_orm.sessionmaker(self.engine, class_=Session, expire_on_commit=False)
        view = (
            {"readonly": True} if self.embedded else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        self._read = sa_orm.sessionmaker(self.engine.execution_options(**view), class_=Session, expire_on_commit=False)

    def read(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` on one consistent view; nothing it changes is kept. Raises StoreUnavailable."""
        try:
            with self._read() as session:
                return work(session)
        except DBAPIError as error:
            translate(error)

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` in one transaction; on a conflict roll back and run it again, at most ATTEMPTS times.

        Raises StoreBusy when every attempt met another writer, StoreUnavailable, and whatever ``work`` raises.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(work)
            except (StaleDataError, Conflict) as conflict:
                cause: Exception = conflict
            except (OperationalError, IntegrityError) as error:
                if not _worth_repeating(error):
                    translate(error)
                cause = error
            except DBAPIError as error:
                translate(error)
            log.debug("transaction repeated", extra={"attempt": attempt, "because": str(cause)})
            time.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 6)))  # noqa: S311
        raise StoreBusy("the store was busy; try again") from cause

    def _once(self, work: Callable[[Session], T]) -> T:
        if self._writer is None:
            return self._commit(work, self.engine)
        with self._writer:
            return self._commit(work, self._writers_own())

    def _writers_own(self) -> Connection:
        """SQLite's one writer keeps its connection, whose cache then knows all that was written. Another would find its
        own out of date and read everything again."""
        kept = self._writing
        # A commit that failed, on a full disk say, leaves its transaction behind, active or not.
        if kept is None or kept.closed or kept.invalidated or kept.get_transaction() is not None:
            if kept is not None:
                kept.close()
            kept = self._writing = self.engine.connect()
        return kept

    def _commit(self, work: Callable[[Session], T], on: Engine | Connection) -> T:
        with self._write(bind=on) as session:
            result = work(session)
            if session.wakes and not self.embedded:
                session.execute(
                    text("SELECT pg_notify(:channel, names) FROM unnest(CAST(:payloads AS text[])) AS names"),
                    {"channel": CHANNEL, "payloads": payloads(session.wakes)},
                )
            session.commit()
            wakes = session.wakes
        if self._checkpoints is not None:
            self._checkpoints.committed()
        self.wakes.send(wakes)
        return result

    def ping(self) -> None:
        """Raise StoreUnavailable when the database does not answer."""
        try:
            with self.engine.execution_options(readonly=True).connect() as connection:
                connection.execute(text("SELECT 1"))
        except DBAPIError as error:
            translate(error)

    def open_reader(self) -> sqlite3.Connection | None:
        """SQLite's own connection for single statements that only read, of one thread; None on another database.

        It waits for nobody: a statement that would have to fails. It is closed with the store.
        """
        if not self.embedded or not self.url.database or self.url.database == ":memory:":
            return None
        reader = sqlite3.connect(self.url.database, timeout=0, isolation_level=None, check_same_thread=False)
        reader.execute("PRAGMA query_only=ON")
        self._readers.append(reader)
        return reader

    def close(self) -> None:
        while self._readers:
            self._readers.pop().close()
        if self._checkpoints is not None:
            self._checkpoints.close()
        if self._writer is not None:
            with self._writer:
                if self._writing is not None:
                    self._writing.close()
        self.engine.dispose()


def _worth_repeating(error: OperationalError | IntegrityError) -> bool:
    """Whether the database refused because of another transaction rather than because of what was asked."""
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(error, IntegrityError):
        # Two writers inserted the same key, or took the same room: the repeat sees the other's row.
        return state in ("23505", "23514") or isinstance(error.orig, sqlite3.IntegrityError)
    return state in ("40001", "40P01", "55P03") or "database is locked" in str(error.orig)


def shown_url(url: str) -> str:
    """A store's URL as it may be shown: without its password."""
    return make_url(url).render_as_string(hide_password=True)


def translate(error: DBAPIError) -> NoReturn:
    """Raise StoreUnavailable where the database is in trouble, and the error itself where what was asked is wrong."""
    name = getattr(error.orig, "sqlite_errorname", "")
    state = getattr(error.orig, "sqlstate", None) or ""
    if name == "SQLITE_FULL" or state == "53100":
        raise StoreFull("The disk of the store is full; nothing was changed. Free some space and try again.") from error
    if name in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
        raise StoreUnavailable("The file of the store is damaged, or no database at all.") from error
    # A server that never answered has given neither a name nor a state.
    silent = isinstance(error, OperationalError) and not (name or state)
    trouble = name.startswith(_SQLITE_TROUBLE) or state.startswith(_POSTGRESQL_TROUBLE)
    if silent or trouble or error.connection_invalidated:
        raise StoreUnavailable("The store does not answer; try again.") from error
    raise error


def _sqlite(url: str) -> Engine:
    path = make_url(url).database
    if path and path != ":memory:" and not Path(path).exists():
        # The file must never exist with wider rights, not even for an instant.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    # Parameters hold what callers keep secret, and errors end up in logs.
    engine = create_engine(
        url,
        pool_size=16,
        max_overflow=48,
        # The same few connections again and again, so that their caches serve.
        pool_use_lifo=True,
        hide_parameters=True,
        json_serializer=encode_document,
        connect_args={"check_same_thread": False, "timeout": 30},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, record: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=30000",
            f"wal_autocheckpoint={BACKSTOP}",
            f"cache_size=-{CACHE_KIB}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        readonly = connection.get_execution_options().get("readonly", False)
        connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: str, pool_size: int) -> Engine:
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=48,
        pool_pre_ping=True,
        hide_parameters=True,
        json_serializer=encode_document,
    )
