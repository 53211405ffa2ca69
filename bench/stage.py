"""A Berth of the benchmarks' own: temporary data, free ports, and an image that every contestant has locally."""

import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import docker

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
    environment = {**os.environ, "BERTH_IMAGE_PULL_BEHAVIOR": "prefer-cached"}

    def berth(*words: str) -> str:
        command = [sys.executable, "-m", "orchestrator", *words, "--data", str(data)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    client = docker.DockerClient(base_url=os.environ.get("DOCKER_HOST"), max_pool_size=64)
    try:
        make_image(client)
        berth("up", "--detach", "--port", str(free_port()), "--registry-port", str(free_port()))
        lines = (line.removeprefix("export ").partition("=") for line in berth("env").splitlines())
        keys = {name: value.strip("'") for name, _, value in lines}
        yield Stage(
            data=data,
            endpoint=keys["AWS_ENDPOINT_URL"],
            access_key=keys["AWS_ACCESS_KEY_ID"],
            secret_key=keys["AWS_SECRET_ACCESS_KEY"],
            docker=client,
        )
    finally:
        berth("down")
        with suppress(docker.errors.ImageNotFound):
            client.images.remove(IMAGE, force=True)
        client.close()
        shutil.rmtree(data, ignore_errors=True)


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
