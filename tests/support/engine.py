"""The Docker Engine under test, and more of them.

Whatever a test makes on the shared engine carries the run's label, and goes with it at the end. A test that must stop
the engine, or needs another host, starts one of its own: its own data and socket, and a network namespace with its own
addresses, ports and firewall, since two engines in one namespace take each other's bridges and rules away.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest
from docker.errors import APIError, DockerException

LABEL = "berth.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine that answers: an SDK client, where it listens, and the label of what this run makes on it."""

    client: docker.DockerClient
    host: str
    run: str

    @property
    def labels(self) -> dict[str, str]:
        """What to put on every container, network, volume and image made by a test."""
        return {LABEL: self.run}

    def containers(self, label: str | None = None) -> list[docker.models.containers.Container]:
        """All containers, stopped ones too, that carry ``label`` (``key`` or ``key=value``), by default the run's."""
        return self.client.containers.list(
            all=True, ignore_removed=True, filters={"label": label or f"{LABEL}={self.run}"}
        )

    def tags(self, registry: str) -> list[str]:
        """The tags of images that name a registry, as listed: an image may be gone by the time it is looked at."""
        listed = [tag for image in self.client.api.images() for tag in image["RepoTags"] or ()]
        return [tag for tag in listed if tag.startswith(f"{registry}/")]

    def remove(self, label: str | None = None) -> None:
        """Remove the containers, networks, volumes and images that carry ``label``; what is already gone is fine."""
        label = label or f"{LABEL}={self.run}"
        for container in self.containers(label):
            _gone(lambda found=container: found.remove(force=True, v=True))
        for network in self.client.networks.list(filters={"label": label}):
            _gone(network.remove)
        for volume in self.client.volumes.list(filters={"label": label}):
            _gone(lambda found=volume: found.remove(force=True))
        for image in self.client.api.images(filters={"label": label}, quiet=True):
            _gone(lambda found=image: self.client.images.remove(found, force=True))


def connect(host: str | None = None) -> Engine:
    """The engine at ``host`` (by default DOCKER_HOST, else this machine's own); fails the test when none answers."""
    address = host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        _knock(address)
        client = docker.DockerClient(base_url=address)
        client.ping()
    except DockerException as error:
        pytest.fail(f"no Docker Engine answers at {address} ({error}); run: make setup", pytrace=False)
    return Engine(client=client, host=address, run=uuid.uuid4().hex[:12])


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """The machine's engine. What carries ``docker_engine.labels`` is removed when the run ends."""
    engine = connect()
    try:
        yield engine
    finally:
        engine.remove()
        engine.client.close()


@dataclass(slots=True, kw_only=True)
class OwnEngine:
    """A second host: a dockerd in a network of its own, which a test may stop, kill and start again.

    ``address`` is where its published ports are reached from this machine, ``gateway`` is how its containers and
    processes reach this machine, and ``enter`` runs a command in its network. The addresses are from 198.18.0.0/15,
    the range set aside for testing, which no network uses. ``directory`` holds all that it keeps.
    """

    directory: Path
    number: int
    # More of dockerd's options, and of its environment, for its next start.
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None)
    _clients: list[docker.DockerClient] = field(default_factory=list)

    @property
    def host(self) -> str:
        """Where it listens: a value for DOCKER_HOST."""
        return f"unix://{self.directory / 'docker.sock'}"

    @property
    def address(self) -> str:
        return f"198.18.{self.number}.2"

    @property
    def gateway(self) -> str:
        return f"198.18.{self.number}.1"

    @property
    def name(self) -> str:
        """Of its network namespace, and of this machine's end of the cable into it."""
        return f"berth-t{self.number}"

    def enter(self, *command: str | Path) -> list[str | Path]:
        """The command that runs ``command`` as a process of this host."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *command]

    def start(self) -> Engine:
        """Start dockerd and wait until it answers. Raises RuntimeError with its log's end when it does not."""
        self.begin()
        return self.await_answer()

    def begin(self) -> None:
        """Start dockerd, which takes some seconds to answer."""
        with (self.directory / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, start_new_session=True, env={**os.environ, **self.variables}
            )

    def await_answer(self) -> Engine:
        """Wait until a dockerd that was begun answers. Raises RuntimeError when it does not."""
        assert self._process is not None
        for _ in range(600):
            if self._process.poll() is not None:
                break
            with suppress(DockerException):
                _knock(self.host)
                client = docker.DockerClient(base_url=self.host)
                self._clients.append(client)
                client.ping()
                return Engine(client=client, host=self.host, run=uuid.uuid4().hex[:12])
            time.sleep(0.1)
        self.kill()
        raise RuntimeError(f"dockerd did not start:\n{self.log_end()}")

    def stop(self) -> None:
        """Stop dockerd in order: it stops its containers first."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """Kill dockerd, and so its containerd; the containers' own processes live on, as after a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            # The kernel ends its containerd with it. Where process 1 reaps slowly, that stays a zombie for a while,
            # and the next dockerd would wait for the zombie to answer.
            (self.directory / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    def log_end(self) -> str:
        """The last lines of what dockerd said."""
        return "\n".join((self.directory / "dockerd.log").read_text(errors="replace").splitlines()[-20:])

    def close(self) -> None:
        """Stop it, end its containers, and remove everything it had."""
        if self._process is None and self._clients:
            # A killed engine's containers run on; only an engine can end them in order.
            with suppress(RuntimeError):
                self.start()
        if self._process is not None and self._clients:
            for container in self._clients[-1].containers.list(all=True, ignore_removed=True):
                _gone(lambda found=container: found.remove(force=True, v=True))
        self.stop()
        self.close_clients()
        _unplug(self.name)
        unmount_below(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)

    def close_clients(self) -> None:
        while self._clients:
            self._clients.pop().close()

    def _command(self) -> list[str | Path]:
        return self.enter(
            # The kernel ends it with the test process, however that ends.
            "setpriv",
            "--pdeathsig=KILL",
            "dockerd",
            f"--host={self.host}",
            f"--data-root={self.directory / 'data'}",
            f"--exec-root={self.directory / 'exec'}",
            f"--pidfile={self.directory / 'docker.pid'}",
            # Where the machine runs one containerd for all, the names keep the engines apart.
            f"--containerd-namespace={self.name}",
            f"--containerd-plugins-namespace={self.name}-plugins",
            *self.options,
        )


def start_second_engine(directory: Path) -> OwnEngine:
    """Make and start one more engine in ``directory``, whose path must be short (sockets); needs root."""
    if os.geteuid() != 0:
        pytest.fail("a second Docker Engine needs root; run the tests as root", pytrace=False)
    directory.mkdir(parents=True, exist_ok=True)
    engine = OwnEngine(directory=directory, number=_plug())
    try:
        engine.start()
    except BaseException:
        engine.close()
        raise
    return engine


@pytest.fixture
def second_engine() -> Iterator[OwnEngine]:
    """An engine of the test's own, already started: another host, or one to stop and to kill."""
    engine = start_second_engine(Path(tempfile.mkdtemp(prefix="berth-engine-")))
    try:
        yield engine
    finally:
        engine.close()


def _knock(host: str) -> None:
    """Raise DockerException when nobody listens at a Unix socket: the SDK would leave its own socket open."""
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as door:
            try:
                door.connect(host.removeprefix("unix://"))
            except OSError as error:
                raise DockerException(str(error)) from error


def _gone(remove: Callable[[], object]) -> None:
    try:
        remove()
    except APIError as error:
        # Not there any more, or being removed by somebody else just now.
        if error.status_code not in (404, 409):
            raise


def _plug() -> int:
    """Make the first network namespace ``berth-t<number>`` that is free, with a cable into it; return the number."""
    for number in range(16):
        name = f"berth-t{number}"
        # The name is made or refused in one step, so two test processes never share one.
        if _ip("netns", "add", name, check=False) != 0:
            continue
        try:
            _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("addr", "add", f"198.18.{number}.1/24", "dev", name)
            _ip("link", "set", name, "up")
            _ip("-n", name, "addr", "add", f"198.18.{number}.2/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "route", "add", "default", "via", f"198.18.{number}.1")
        except BaseException:
            _unplug(name)
            raise
        return number
    raise RuntimeError("sixteen test engines run already; look for leftovers with: ip netns list")


def _unplug(name: str) -> None:
    _ip("link", "del", name, check=False)
    _ip("netns", "del", name, check=False)


def _ip(*words: str, check: bool = True) -> int:
    return subprocess.run(["ip", *words], check=check, capture_output=True).returncode


def unmount_below(directory: Path) -> None:
    """dockerd leaves a mounted network namespace behind, and the file system will not let it be deleted."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for path in sorted((path for path in mounted if path.startswith(f"{directory}/")), reverse=True):
        subprocess.run(["umount", "--lazy", path], check=False, capture_output=True)
