"""The contestants: ``berth registry`` and Debian's ``docker-registry``, each a process on loopback with its own folder.

Berth runs as it always does: its own HTTP protocol, tokens verified at every request, SQLite with synchronous=FULL.
The peer runs without authentication, its blob descriptors cached in memory, as Debian configures it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.registry.wire import BadAnswer, Connection
from bench.scale.notrun import NotRun
from bench.stage import free_port
from kit.clock import SystemClock
from kit.settings import Settings
from orchestrator.app import Parts, build_parts
from orchestrator.identity import ensure_root_key
from registry.access import issue_token
from state.repositories import Repository
from state.store import Store

ROOT = Path(__file__).parents[2]
BERTH, PEER = "Berth", "distribution"
START_SECONDS = 60.0
# What a login shell allows on most machines.
_OPEN_FILES = 1024
_PEER_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: "{folder}"}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running contestant; ``headers`` are what its clients send, ``blobs`` is where it keeps bytes."""

    name: str
    port: int
    headers: str
    blobs: Path
    process: psutil.Process
    ready_after: float

    @property
    def cpu(self) -> float:
        """Processor seconds so far: its own, and those of its children, ended ones too."""
        times = self.process.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in self.process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                total += sum(child.cpu_times()[:2])
        return float(total)

    @property
    def resident(self) -> int:
        """Bytes of memory now."""
        return int(self.process.memory_info().rss)

    @property
    def peak(self) -> int:
        """The most bytes of memory since ``forget_peak``."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("this kernel does not tell peaks of memory")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def files(self) -> set[Path]:
        """Every file with a blob's bytes."""
        return {path for path in self.blobs.rglob("*") if path.is_file()}

    def drop_all_but(self, kept: set[Path]) -> None:
        """Free the disk of what was pushed since; whatever still names it is not asked for again."""
        for path in self.files() - kept:
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A Berth that is not up yet: its folder, its parts with tables and keys, and a token for its clients."""

    folder: Path
    parts: Parts
    headers: str

    @property
    def store(self) -> Store:
        return self.parts.store

    def make_repositories(self, names: Sequence[str]) -> None:
        """Make them as CreateRepository does."""
        now = SystemClock().now()
        self.store.transact(lambda session: session.add_all([Repository(name=name, created_at=now) for name in names]))


@contextmanager
def ground_made(folder: Path, store_url: str = "") -> Iterator[Ground]:
    """Tables and keys of a Berth beneath ``folder``, on SQLite there unless another store is named."""
    settings = Settings(data=folder, store_url=store_url or f"sqlite:///{folder / 'berth.db'}")
    parts = build_parts(settings)
    try:
        key_id, _ = ensure_root_key(parts.store, settings, parts.secrets, parts.clock)
        token, _ = issue_token(
            parts.secrets,
            access_key_id=key_id,
            principal_arn=f"arn:aws:iam::{settings.account}:root",
            now=parts.clock.now(),
        )
        basic = b64encode(f"AWS:{token}".encode()).decode()
        yield Ground(folder=folder, parts=parts, headers=f"Authorization: Basic {basic}\r\n")
    finally:
        parts.store.close()


@contextmanager
def berth_up(ground: Ground) -> Iterator[Server]:
    """One ``berth registry``; several may run on one ground."""
    port = free_port()
    foreign = {name: value for name, value in os.environ.items() if not name.startswith("BERTH_")}
    environment = {
        **foreign,
        "BERTH_STORE_URL": ground.store.url.render_as_string(hide_password=False),
        "BERTH_HOST": "127.0.0.1",
        "BERTH_REGISTRY_PORT": str(port),
    }
    command = [sys.executable, "-m", "orchestrator", "registry", "--data", str(ground.folder)]
    with _running(command, port, ground.folder / f"{port}.log", environment) as (process, ready_after):
        yield Server(
            name=BERTH,
            port=port,
            headers=ground.headers,
            blobs=ground.folder / "registry" / "blobs",
            process=process,
            ready_after=ready_after,
        )


@contextmanager
def peer_up(folder: Path) -> Iterator[Server]:
    """One ``docker-registry``; several may run on one folder."""
    port = free_port()
    config = folder / f"{port}.yml"
    config.write_text(_PEER_CONFIG.format(folder=folder / "peer", port=port))
    command = [str(find_peer()), "serve", str(config)]
    with _running(command, port, folder / f"{port}.log", dict(os.environ)) as (process, ready_after):
        yield Server(
            name=PEER,
            port=port,
            headers="",
            blobs=folder / "peer" / "docker" / "registry" / "v2" / "blobs",
            process=process,
            ready_after=ready_after,
        )


def find_peer() -> Path:
    """Its program: the one installed, or the one that ``.ci/setup registry`` unpacked here; raises NotRun."""
    installed = shutil.which("docker-registry")
    unpacked = ROOT / "build" / "peers" / "usr" / "bin" / "docker-registry"
    if installed is None and not unpacked.exists():
        raise NotRun("Debian's docker-registry is missing; run .ci/setup registry, or as root: apt install it")
    return Path(installed) if installed is not None else unpacked


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that ask to stop wait meanwhile: cleaning up that is broken off leaves something behind."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _running(
    command: Sequence[str], port: int, log: Path, environment: dict[str, str]
) -> Iterator[tuple[psutil.Process, float]]:
    """The process, and how long after it was started it answered; it has ended afterwards, whatever happens."""
    limited = ["sh", "-c", f'ulimit -S -n {_OPEN_FILES} && exec "$@"', "sh", *command]
    with log.open("wb") as out:
        began = time.perf_counter()
        # A group of its own: a terminal's Ctrl-C is for us, and we end it.
        process = subprocess.Popen(
            limited, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, process_group=0
        )
    try:
        _await_answer(process, port, log)
        yield psutil.Process(process.pid), time.perf_counter() - began
    finally:
        with undisturbed():
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_answer(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Until ``GET /v2/`` is answered, be it by asking who we are; raises NotRun."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with Connection(port) as connection:
                connection.begin("GET", "/v2/", headers="", body=b"")
                connection.end("GET", "/v2/", expect=200)
            return
        except BadAnswer as answer:
            if ": 401 " in str(answer):
                return
        except OSError:
            pass
        time.sleep(0.002)
    raise NotRun(f"{process.args!r} does not answer:\n{log.read_text(errors='replace')[-2000:]}")
