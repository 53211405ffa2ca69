"""A Berth of the benchmarks' own: temporary data, free ports, and an image that every contestant has locally."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import docker

from kit.processes import find_processes, is_process

# Of this run alone: another on the same engine removes its own at its end.
IMAGE = f"berth-bench/busybox:{os.getpid()}"
LABEL = "berth.bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the Berth under test is, and how to sign for it."""

    data: Path
    endpoint: str
    access_key: str
    secret_key: str
    docker: docker.DockerClient


@contextmanager
def berth_up() -> Iterator[Stage]:
    """Start it, and take it down whatever happens."""
    data = Path(tempfile.mkdtemp(prefix="berth-bench-"))
    client = docker.DockerClient(base_url=os.environ.get("DOCKER_HOST"), max_pool_size=64)
    try:
        make_image(client)
        berth(data, "up", "--detach", "--port", str(free_port()), "--registry-port", str(free_port()))
        lines = (line.removeprefix("export ").partition("=") for line in berth(data, "env").splitlines())
        keys = {name: value.strip("'") for name, _, value in lines}
        yield Stage(
            data=data,
            endpoint=keys["AWS_ENDPOINT_URL"],
            access_key=keys["AWS_ACCESS_KEY_ID"],
            secret_key=keys["AWS_SECRET_ACCESS_KEY"],
            docker=client,
        )
    finally:
        berth(data, "down")
        with suppress(docker.errors.ImageNotFound):
            client.images.remove(IMAGE, force=True)
        client.close()
        shutil.rmtree(data, ignore_errors=True)


def berth(data: Path, *words: str) -> str:
    """Run the ``berth`` command on a data directory; answers what it printed."""
    environment = {**os.environ, "BERTH_IMAGE_PULL_BEHAVIOR": "prefer-cached"}
    command = [sys.executable, "-m", "orchestrator", *words, "--data", str(data)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def plane_of(stage: Stage) -> int:
    """The pid of the control plane."""
    return find_processes(["--serve-data", str(stage.data)])[0]


def kill_plane(stage: Stage) -> None:
    """SIGKILL, and wait until it is gone."""
    plane = plane_of(stage)
    os.kill(plane, signal.SIGKILL)
    while is_process(plane, []):
        time.sleep(0.05)


def start_again(stage: Stage) -> None:
    """Start the control plane on the ports it had; it answers when this returns."""
    card = json.loads((stage.data / "berth.json").read_text())
    ports = [card[door].rpartition(":")[2] for door in ("endpoint", "registry")]
    berth(stage.data, "up", "--detach", "--port", ports[0], "--registry-port", ports[1])


def make_image(client: docker.DockerClient) -> None:
    """Busybox alone: what is measured is the path, not the program."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
    name, _, tag = IMAGE.partition(":")
    client.api.import_image_from_data(
        packed.getvalue(), repository=name, tag=tag, changes=['CMD ["/bin/busybox", "sleep", "600"]']
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
