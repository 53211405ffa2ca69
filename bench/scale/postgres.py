"""A PostgreSQL of a run's own, as durable as it comes: ``--store postgresql``. Gone afterwards, data and all."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.scale.notrun import NotRun

OPTIONS = ("shared_buffers=1GB", "max_wal_size=8GB", "listen_addresses=", "max_connections=100")
START_SECONDS = 60


@contextmanager
def postgres_up(folder: Path) -> Iterator[str]:
    """Start one in ``folder``; yields the SQLAlchemy URL of an empty database. fsync and synchronous_commit are on."""
    programs = _programs()
    data, sockets = folder / "postgres", folder / "sockets"
    sockets.mkdir()
    # It refuses to run as root; Debian's package made a user for it.
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    if user is not None:
        data.mkdir()
        folder.chmod(0o711)
        for path in (data, sockets):
            os.chown(path, user.pw_uid, user.pw_gid)
    who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    _run([programs / "initdb", "-D", data, "-U", "berth", "-A", "trust", "-E", "UTF8", "--locale=C"], who)
    options = [word for option in (*OPTIONS, f"unix_socket_directories={sockets}") for word in ("-c", option)]
    process = subprocess.Popen(
        [programs / "postgres", "-D", data, *options],
        **who,  # type: ignore[call-overload]
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, f"postgresql://berth@/postgres?host={sockets}")
        yield f"postgresql+psycopg://berth@/postgres?host={sockets}"
    finally:
        process.send_signal(signal.SIGINT)  # its fast shutdown
        process.wait()


def _programs() -> Path:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    kept = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not kept:
        raise NotRun("no PostgreSQL was found (initdb, postgres); as root, run: apt-get install postgresql")
    return kept[-1]


def _run(words: list[object], who: dict[str, object]) -> None:
    subprocess.run(words, **who, cwd="/", check=True, stdout=subprocess.DEVNULL)  # type: ignore[call-overload]


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    for _ in range(START_SECONDS * 10):
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None:
                raise NotRun(f"PostgreSQL ended with {process.returncode} before it answered") from None
            time.sleep(0.1)
    raise NotRun(f"PostgreSQL did not answer within {START_SECONDS} seconds")
