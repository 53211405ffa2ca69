"""Berth by TLS, reached at an address that no engine trusts by itself: clients, ``docker login``, push, and a task."""

import shutil
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.berth import RunningBerth, running_berth, until
from tests.support.engine import Engine

CERTIFICATES = Path("/etc/docker/certs.d")


@pytest.fixture
def address() -> str:
    """An address of this machine that is not its loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        # Nothing is sent: the route tells the address. It is one set aside for examples.
        asked.connect(("192.0.2.1", 9))
        return str(asked.getsockname()[0])


@pytest.fixture
def berth(docker_engine: Engine, address: str) -> Iterator[RunningBerth]:
    before = {path.name for path in CERTIFICATES.iterdir()} if CERTIFICATES.exists() else set()
    try:
        with running_berth(docker_engine, host=address, tls="true") as running:
            yield running
    finally:
        for path in CERTIFICATES.iterdir() if CERTIFICATES.exists() else ():
            if path.name not in before:
                shutil.rmtree(path)


def test_everything_works_by_tls_and_nothing_without_trust(berth: RunningBerth, busybox_image: str) -> None:
    endpoint = berth.environment["AWS_ENDPOINT_URL"]
    assert endpoint.startswith("https://")
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{endpoint}/healthz", timeout=10)
    trust = ssl.create_default_context(cafile=berth.environment["AWS_CA_BUNDLE"])
    with urllib.request.urlopen(f"{endpoint}/healthz", timeout=10, context=trust) as answer:
        assert answer.status == 200
    # The engine logs in, pushes and pulls at an address it believes only by the file that Berth wrote for it.
    image = berth.push(busybox_image, "web")
    ecs = berth.client("ecs")
    container = {"name": "main", "image": image, "command": ["echo", "by TLS"], "memory": 32}
    ecs.register_task_definition(family="tls", containerDefinitions=[container])
    berth.run("docker", "rmi", image)
    task = ecs.run_task(taskDefinition="tls")["tasks"][0]["taskArn"]

    def stopped() -> bool:
        return bool(ecs.describe_tasks(tasks=[task])["tasks"][0]["lastStatus"] == "STOPPED")

    until("the task ends", stopped)
    ended = ecs.describe_tasks(tasks=[task])["tasks"][0]
    assert ended["containers"][0].get("exitCode") == 0, ended
    assert "RUNNING" in berth.berth("status") or "default" in berth.berth("status")
