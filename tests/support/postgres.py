"""Stores for tests: an SQLite file or a PostgreSQL database per test, of one throw-away cluster per test process.

Making Berth's tables takes longer than most tests, so a file with tables is copied, and a database with tables serves
again under another name once it has been emptied.

The cluster lives in a temporary directory, listens on a Unix socket there and nowhere else, and ends with the
process that started it: stopped by pid at the end, and by the kernel if that process is killed.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest

import state.tables  # noqa: F401  (every entity, for the template)
from state.base import Base
from state.store import Store

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = "berth_filled"

# Nothing here outlives the test run, so nothing waits for a disk. Durability is tested by killing Berth, not this.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "max_connections=200")

EMPTY = "; ".join(
    (
        *(f'DELETE FROM "{table.name}"' for table in reversed(Base.metadata.sorted_tables)),
        "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) FROM pg_sequences",
    )
)
SIZE = "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
# Rows that were deleted keep their place: a database that had more than a few is not used again.
GROWN = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Postgres:
    """A running cluster. ``new_database`` gives a SQLAlchemy URL; ``drop_database`` or ``give_back`` takes it back."""

    socket_dir: Path
    process: subprocess.Popen[bytes]
    _numbers: Iterator[int] = field(default_factory=count)
    _filled_size: int = 0
    _emptied: list[str] = field(default_factory=list)

    def new_database(self, *, filled: bool = False) -> str:
        """Make a database, empty or with Berth's tables, and return its SQLAlchemy URL."""
        if filled and self._emptied:
            return self._url(self._emptied.pop())
        if filled and not self._filled_size:
            self._fill_template()
        name = self._new_name()
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE if filled else "template1"}')
        return self._url(name)

    def _fill_template(self) -> None:
        """Copying tables is many times quicker than making them anew for every test."""
        self._execute(f"CREATE DATABASE {TEMPLATE}")
        store = Store(self._url(TEMPLATE))
        Base.metadata.create_all(store.engine)
        store.close()
        with self._connect(TEMPLATE) as link:
            self._filled_size = self._size(link)

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://berth@/{name}?host={self.socket_dir}"

    def drop_database(self, url: str) -> None:
        """Drop a database that ``new_database`` made, whoever is still connected to it."""
        self._execute(f'DROP DATABASE IF EXISTS "{_name_of(url)}" WITH (FORCE)')

    def give_back(self, url: str) -> None:
        """Take back a database with Berth's tables for others to use, or drop it where somebody is still connected."""
        name = self._new_name()
        try:
            # Whoever comes back to it finds nothing under the old name.
            self._execute(f'ALTER DATABASE "{_name_of(url)}" RENAME TO "{name}"')
        except psycopg.errors.ObjectInUse:
            self.drop_database(url)
            return
        with self._connect(name) as link:
            link.execute(EMPTY.encode())
            usable = self._size(link) < self._filled_size + GROWN
        if usable:
            self._emptied.append(name)
        else:
            self.drop_database(self._url(name))

    def _new_name(self) -> str:
        return f"berth_{next(self._numbers)}"

    def _execute(self, statement: str) -> None:
        with self._connect("postgres") as link:
            link.execute(statement.encode())

    def _connect(self, database: str) -> "psycopg.Connection[tuple[int, ...]]":
        return psycopg.connect(host=str(self.socket_dir), user="berth", dbname=database, autocommit=True)

    def _size(self, link: "psycopg.Connection[tuple[int, ...]]") -> int:
        """The bytes of tables and indexes."""
        [row] = link.execute(SIZE).fetchall()
        return row[0]


def _name_of(url: str) -> str:
    return url.rpartition("/berth@/")[2].partition("?")[0]


def start_postgres(directory: Path) -> Postgres:
    """Make a cluster in ``directory`` (which must be empty) and start it. Its process is our child."""
    programs = find_programs()
    user = _unprivileged()
    if user:
        os.chown(directory, user.pw_uid, user.pw_gid)
    # PostgreSQL refuses to run as root. The kernel's parent-death signal makes a killed pytest leave nothing.
    become = (
        ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig=QUIT", "--"]
        if user
        else ["setpriv", "--pdeathsig=QUIT", "--"]
    )
    data = directory / "data"
    subprocess.run(
        [
            *become,
            programs / "initdb",
            "-D",
            data,
            "-U",
            "berth",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ],
        check=True,
        capture_output=True,
        cwd=directory,
    )
    settings = [f"-c{setting}" for setting in FAST]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*become, programs / "postgres", "-D", data, "-k", directory, "-clisten_addresses=", *settings],
            stdout=log,
            stderr=log,
            cwd=directory,
            # Ctrl-C is for pytest; its fixtures then stop the cluster.
            start_new_session=True,
        )
    postgres = Postgres(socket_dir=directory, process=process)
    try:
        _wait_until_ready(postgres, directory / "log")
    except BaseException:
        stop_postgres(postgres)
        raise
    return postgres


def stop_postgres(postgres: Postgres) -> None:
    """Stop the cluster at once; what it kept is not wanted any more."""
    # SIGQUIT is PostgreSQL's immediate shutdown: it waits for no client and writes no checkpoint.
    postgres.process.send_signal(signal.SIGQUIT)
    try:
        postgres.process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        postgres.process.kill()
        postgres.process.wait()


def find_programs() -> Path:
    """The directory of ``initdb`` and ``postgres``, installed by this checkout's set-up when they are missing."""
    found = _installed_programs()
    if found is None:
        subprocess.run([ROOT / ".ci/setup", "tests"], check=True)
        found = _installed_programs()
    if found is None:
        pytest.fail("PostgreSQL's programs are missing; as root, run: apt-get install postgresql", pytrace=False)
    return found


def _installed_programs() -> Path | None:
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    # Debian keeps each version's programs out of PATH; the newest will do.
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    return versions[-1].parent if versions else None


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run as: nobody in particular when we are not root, else Debian's ``postgres``, else ``nobody``."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _wait_until_ready(postgres: Postgres, log: Path) -> None:
    for _ in range(600):
        if postgres.process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended while starting:\n{log.read_text()}")
        try:
            psycopg.connect(host=str(postgres.socket_dir), user="berth", dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"PostgreSQL did not answer within 30 seconds:\n{log.read_text()}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """This test process's own PostgreSQL cluster."""
    # A socket's path may have 107 bytes at most, which pytest's own temporary directories can exceed.
    directory = Path(tempfile.mkdtemp(prefix="berth-pg-"))
    try:
        running = start_postgres(directory)
        try:
            yield running
        finally:
            stop_postgres(running)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def postgresql_url(postgres: Postgres) -> Iterator[str]:
    """A SQLAlchemy URL of a fresh, empty PostgreSQL database."""
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLAlchemy URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def filled_postgresql_url(postgres: Postgres) -> Iterator[str]:
    """A SQLAlchemy URL of a PostgreSQL database that has Berth's tables already, and nothing in them."""
    url = postgres.new_database(filled=True)
    yield url
    postgres.give_back(url)


@pytest.fixture(scope="session")
def filled_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file that has Berth's tables, to be copied."""
    path = tmp_path_factory.mktemp("filled") / "store.db"
    store = Store(f"sqlite:///{path}")
    Base.metadata.create_all(store.engine)
    store.close()
    assert [*path.parent.iterdir()] == [path], "all of it is in the one file"
    return path


@pytest.fixture
def filled_sqlite_url(sqlite_url: str, filled_sqlite_file: Path) -> str:
    """A SQLAlchemy URL of a fresh SQLite file that has Berth's tables already."""
    shutil.copyfile(filled_sqlite_file, sqlite_url.removeprefix("sqlite:///"))
    return sqlite_url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_store_url(request: pytest.FixtureRequest) -> str:
    """A SQLAlchemy URL of a store without tables: the test runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """A SQLAlchemy URL of a fresh store: the test runs once on SQLite and once on PostgreSQL.

    Whoever uses it calls ``create_all``, which finds the tables made already.
    """
    url: str = request.getfixturevalue(f"filled_{request.param}_url")
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A fresh store with Berth's tables."""
    store = Store(store_url)
    Base.metadata.create_all(store.engine)
    yield store
    store.close()
